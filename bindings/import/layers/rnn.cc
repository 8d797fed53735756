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

/// Appends the cells of a stack, in whose place another stack may be, or the cell itself.
void add_cells(const ConfigView& cell, std::vector<ConfigView>& cells) {
  const std::string& class_name = cell["class_name"].as_text();
  if (class_name == "StackedRNNCells") {
    const ConfigView list = cell["config"]["cells"];
    if (list.size() == 0) list.fail("a stack without cells");
    for (size_t k = 0; k < list.size(); ++k) add_cells(list[k], cells);
  } else {
    if (!is_recurrent(class_name) || !class_name.ends_with("Cell"))
      cell["class_name"].fail_expected(
          "SimpleRNNCell, LSTMCell, GRUCell, QSimpleRNNCell, QLSTMCell, QGRUCell or "
          "StackedRNNCells of these");
    cells.push_back(cell);
  }
}

/// Descriptions of the cells, class and configuration.
std::vector<ConfigView> cells_of(const ConfigView& config) {
  std::vector<ConfigView> cells;
  add_cells(config["cell"], cells);
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
  return laid_out_as_input(layer, driver, built.output, layer.name());
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
