// bindings/import/layers/rnn.cc: Keras's RNN over a cell, or over several that feed each other
// (StackedRNNCells). Source: Keras 2 keras/layers/rnn/base_rnn.py, stacked_rnn_cells.py.
#include "bindings/import/recurrent.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"RNN"};
constexpr std::string_view kKeys[] = {
    "cell",         "return_sequences", "return_state",        "stateful",
    "go_backwards", "time_major",       "zero_output_for_mask"};
constexpr std::string_view kIgnored[] = {"unroll"};

/// Descriptions of the cells, class and configuration.
std::vector<ConfigView> cells_of(const ConfigView& config) {
  const ConfigView cell = config["cell"];
  const std::string& class_name = cell["class_name"].as_text();
  std::vector<ConfigView> cells;
  if (class_name == "StackedRNNCells") {
    const ConfigView list = cell["config"]["cells"];
    if (list.size() == 0) list.fail("a stack without cells");
    for (size_t k = 0; k < list.size(); ++k) cells.push_back(list[k]);
  } else {
    cells.push_back(cell);
  }
  for (const ConfigView& one : cells)
    if (!is_recurrent(one["class_name"].as_text()) ||
        !one["class_name"].as_text().ends_with("Cell"))
      one["class_name"].fail_expected(
          "SimpleRNNCell, LSTMCell, GRUCell, QSimpleRNNCell, QLSTMCell or QGRUCell");
  return cells;
}

/// Variables of several cells are called "cell1/kernel".
std::string prefix_of(size_t cell, size_t cells) {
  return cells == 1 ? "" : "cell" + std::to_string(cell) + "/";
}

std::vector<std::string_view> weights(const ConfigView& config) {
  const std::vector<ConfigView> cells = cells_of(config);
  std::vector<std::string_view> names;
  for (size_t k = 0; k < cells.size(); ++k)
    for (const std::string_view name : recurrent_weights(cells[k]["config"]))
      names.push_back(kept_name(prefix_of(k, cells.size()) + std::string(name)));
  return names;
}

ValueId build(LayerBuilder& layer) {
  const Driver driver = driver_of(layer);
  const std::vector<ConfigView> descriptions = cells_of(layer.config());
  std::vector<Cell> cells;
  size_t first = 0;
  for (size_t k = 0; k < descriptions.size(); ++k) {
    const size_t count = recurrent_weights(descriptions[k]["config"]).size();
    cells.push_back({layer.part_layer(descriptions[k], recurrent_cell, first, count),
                     prefix_of(k, descriptions.size())});
    first += count;
  }
  Recurrent built =
      build_recurrent(layer, cells, driver, layer.inputs(), layer.name(), layer.mask());
  if (driver.return_state) layer.more = std::move(built.states);
  if (!driver.return_sequences) layer.set_mask({});
  return built.output;
}

}  // namespace

extern constinit const LayerDef rnn{.class_names = kClasses,
                                    .doc = "Goes through time steps with one cell or several.",
                                    .keys = kKeys,
                                    .ignored = kIgnored,
                                    .min_inputs = 1,
                                    .max_inputs = 33,
                                    .mask = MaskUse::builds,
                                    .has_call_arguments = true,
                                    .is_per_position = true,  // they have rows of their own
                                    .weights = weights,
                                    .build = build};

}  // namespace qloom::keras::layers
