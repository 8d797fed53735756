// bindings/import/layers/recurrent.cc: SimpleRNN, LSTM and GRU, Keras's and QKeras's: a scan with
// one cell. Source: QKeras qkeras/qrecurrent.py, Keras 2 keras/layers/rnn.
#include "bindings/import/recurrent.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"SimpleRNN", "LSTM", "GRU", "QSimpleRNN", "QLSTM", "QGRU"};

ValueId build(LayerBuilder& layer) {
  const Driver driver = driver_of(layer);
  const std::vector<Cell> cells{{layer.description(), ""}};
  Recurrent built =
      build_recurrent(layer, cells, driver, layer.inputs(), layer.name(), layer.mask());
  if (driver.return_state) layer.more = std::move(built.states);
  if (!driver.return_sequences) layer.set_mask({});
  return laid_out_as_input(layer, driver, built.output, layer.name());
}

}  // namespace

extern constinit const LayerDef recurrent{
    .class_names = kClasses,
    .doc = "Time steps [N, T, F] → the last output [N, units] or all of them [N, T, units].",
    .keys = kRecurrentKeys,
    .ignored = kRecurrentIgnored,
    .min_inputs = 1,
    .max_inputs = 3,
    .mask = MaskUse::builds,
    .has_call_arguments = true,
    .is_per_position = true,  // they have rows of their own
    .weights = recurrent_weights,
    .build = build};

}  // namespace qloom::keras::layers
