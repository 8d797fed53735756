#include "kernels/onednn/onednn.h"

#include <unistd.h>

#include <algorithm>

#include "graph/support/plugin.h"
#include "jit/compiler.h"
#include "kernels/reference/products.h"

namespace qloom::kernels::onednn {

std::string missing() {
  const std::string path = library_folder() + "/libqloom_onednn.so";
  return access(path.c_str(), R_OK) == 0 ? "" : path + " is missing";
}

Verdict takes_floats(const ReferenceSpec& spec) {
  const TensorType &x = spec.operands.at(0), &y = spec.results.at(0);
  for (const TensorType* t : {&x, &y}) {
    if (t->has_codes()) return Verdict::no(*t, " has codes, oneDNN computes float32");
    if (t->shape.size() < 2 || !t->shape[0].is_batch())
      return Verdict::no("the batch of ", *t, " is not first");
    for (size_t a = 1; a < t->shape.size(); ++a)
      if (!t->shape[a].is_static() || t->shape[a].extent() < 1)
        return Verdict::no("axis ", a, " of ", *t, " has no fixed extent");
  }
  if (spec.operand_storages.at(0) != Storage::f32()) return Verdict::no(x, " is not stored as f32");
  for (const auto& output : spec.outputs)
    if (output != std::pair(0, Storage::f32()))
      return Verdict::no("the result is stored as ", output.second);
  if (spec.outputs.size() != 1) return Verdict::no("the result is stored in two ways");
  if (spec.constants.size() + 1 != spec.operands.size() ||
      (!spec.constants.empty() && spec.constants.front().first == 0))
    return Verdict::no("the weights are no constant");
  return Verdict::yes();
}

void set_window(Primitive& primitive, const ReferenceSpec& spec, const std::vector<int64_t>& sizes,
                const std::vector<int64_t>& strides, const std::vector<int64_t>& dilations,
                std::string_view padding) {
  const Extents x = qloom::bind(spec.operands[0].shape, 1),
                y = qloom::bind(spec.results[0].shape, 1);
  Window& w = primitive.window;
  w.c = x.back();
  w.n = y.back();
  const auto axis = [&](size_t i) {
    return reference::axis_of(x[i + 1], y[i + 1], sizes[i], strides[i], dilations[i], padding);
  };
  const auto after = [](const reference::Axis& a) {
    const int64_t reach = (a.out - 1) * a.stride + (a.taps - 1) * a.dilation + 1;
    return std::max<int64_t>(reach - a.in - a.before, 0);
  };
  const reference::Axis columns = axis(sizes.size() - 1);
  w.w = columns.in, w.out_w = columns.out, w.kernel_w = columns.taps;
  w.stride_w = columns.stride, w.dilation_w = columns.dilation, w.pad_left = columns.before;
  primitive.pad_right = after(columns);
  if (sizes.size() < 2) return;
  const reference::Axis rows = axis(0);
  w.h = rows.in, w.out_h = rows.out, w.kernel_h = rows.taps;
  w.stride_h = rows.stride, w.dilation_h = rows.dilation, w.pad_top = rows.before;
  primitive.pad_bottom = after(rows);
}

std::vector<float> values_of(const ReferenceSpec& spec, int operand) {
  for (const auto& [position, tensor] : spec.constants) {
    if (position != operand) continue;
    if (tensor.dtype() == DType::f32) return {tensor.f32().begin(), tensor.f32().end()};
    const reference::Layout layout(spec.operands[static_cast<size_t>(operand)], Storage::f32());
    std::vector<float> values;
    for (int64_t i = 0; i < tensor.size(); ++i)
      values.push_back(static_cast<float>(
          static_cast<double>(tensor.i64()[static_cast<size_t>(i)]) * layout.step(i)));
    return values;
  }
  qloom_assert(false, spec.kernel, ": operand ", operand, " is no constant");
  return {};
}

double share_of_lanes(int64_t outputs) {
  return static_cast<double>((outputs + 15) / 16 * 16) / static_cast<double>(outputs);
}

std::unique_ptr<ReferenceCall> prepare(const Primitive& primitive) {
  if (const std::string reason = missing(); !reason.empty())
    throw UserError("there are no kernels of oneDNN: " + reason);
  const Plugin plugin = Plugin::open("qloom_onednn");
  const int version = plugin.function<int()>("qloom_onednn_version")();
  qloom_check(version == jit::kCodeVersion, library_folder(), "/libqloom_onednn.so is of version ",
              version, ", libqloom.so needs ", jit::kCodeVersion, ": install both from one build");
  return std::unique_ptr<ReferenceCall>(
      plugin.function<ReferenceCall*(const Primitive&)>("qloom_onednn_prepare")(primitive));
}

}  // namespace qloom::kernels::onednn
