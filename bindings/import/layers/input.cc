// bindings/import/layers/input.cc: the place where data enters. The batch axis may have a number in
// the file (stateful models); it is a symbol here. Where layers are time_major it may be the
// second.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"InputLayer"};
constexpr std::string_view kKeys[] = {"batch_input_shape", "batch_shape", "dtype", "sparse",
                                      "ragged"};
constexpr std::string_view kIgnored[] = {"optional"};
// A sample of 8 GiB. What follows may multiply extents without fear of overflow.
constexpr int64_t kMaxElements = int64_t{1} << 31;

ValueId build(LayerBuilder& layer) {
  for (const char* key : {"sparse", "ragged"}) {
    if (layer.config(key).bool_or(false))
      layer.config(key).fail("sparse and ragged inputs are not supported");
  }
  // Inputs are given as float32; integers (tokens, pixels) are exact in it.
  const ConfigView dtype = layer.config("dtype");
  if (!dtype.is_none()) {
    (void)dtype.as_choice({"float32", "int8", "int16", "int32", "int64", "uint8", "uint16",
                           "uint32", "uint64", "bool"});
  }
  const ConfigView old = layer.config("batch_input_shape");
  const ConfigView extents = old.exists() ? old : layer.config("batch_shape");
  if (extents.is_none() || extents.size() == 0) {
    layer.fail("the input has no shape: batch_input_shape and batch_shape are missing");
  }
  const size_t batch = layer.any_is_time_major() && extents.size() > 1 && extents[1].is_none() &&
                               !extents[size_t{0}].is_none()
                           ? 1
                           : 0;
  Shape shape;
  int64_t elements = 1;
  for (size_t k = 0; k < extents.size(); ++k) {
    if (k == batch) {
      shape.push_back(Dim::batch());
      continue;
    }
    if (extents[k].is_none())
      extents[k].fail("an axis without a size (null) is supported only as the batch axis");
    const int64_t extent = extents[k].as_positive();
    if (extent > kMaxElements / elements) {
      extents.fail_expected("at most " + std::to_string(kMaxElements) + " elements per sample");
    }
    elements *= extent;
    shape.emplace_back(extent);
  }
  return layer.graph.input(layer.name(), shape);
}

}  // namespace

extern constinit const LayerDef input{.class_names = kClasses,
                                      .doc = "Graph input; the first axis is the batch.",
                                      .keys = kKeys,
                                      .ignored = kIgnored,
                                      .min_inputs = 0,
                                      .max_inputs = 0,
                                      .mask = MaskUse::drops,
                                      .build = build};

}  // namespace qloom::keras::layers
