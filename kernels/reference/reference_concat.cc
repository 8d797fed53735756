// kernels/reference/reference_concat.cc — operands one after the other along an axis.
#include <algorithm>
#include <cstring>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/reference.h"

namespace qloom::kernels {
namespace {

template <class T>
class Concat final : public reference::Call {
 public:
  explicit Concat(const ReferenceSpec& spec) : Call(spec) {
    const int64_t axis = attributes<ops::Concat>().axis;
    qloom_assert(axis >= 0 && axis < result_type().rank(), spec.kernel, ": axis ", axis, " of ",
                 result_type());
    const Extents to = qloom::bind(result_type().shape, 1);
    for (int64_t a = 0; a < axis; ++a) outer_ *= to[static_cast<size_t>(a)];
    for (size_t i = 0; i < spec.operands.size(); ++i) {
      parts_.emplace_back(*this, i);
      reference::Input<T>& part = parts_.back();
      if constexpr (std::integral<T>) {
        // Another grid: one for the whole tensor, or another fraction under the same scale.
        const reference::Layout& from = part.layout();
        TensorType wanted = result_type();
        wanted.shape = type(i).shape;
        part.multiply_by(
            reference::factors_between(from, reference::Layout(wanted, Storage::f32())));
      }
      runs_.push_back(part.layout().elements / outer_);
      total_ += runs_.back();
    }
    qloom_assert(total_ * outer_ == elements_per_sample(result_type().shape), spec.kernel,
                 ": the operands do not make up ", result_type());
  }

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    T* y = result<T>(frame);
    int64_t before = 0;
    for (size_t p = 0; p < parts_.size(); ++p) {
      const T* x = parts_[p].at(frame);
      for (int64_t o = 0; o < outer_; ++o)
        std::copy(x + o * runs_[p], x + (o + 1) * runs_[p], y + o * total_ + before);
      before += runs_[p];
    }
    store(frame, y);
  }
  std::vector<reference::Input<T>> parts_;
  std::vector<int64_t> runs_;  // elements of each operand that stand together
  int64_t outer_ = 1, total_ = 0;
};

/// Elements between the axis and the end of the operand.
int64_t run_of(const Extents& extents, int64_t axis) {
  int64_t run = 1;
  for (size_t a = static_cast<size_t>(axis); a < extents.size(); ++a) run *= extents[a];
  return run;
}

/// The same where every operand lies as the result does, code for code: pieces are copied as they
/// are.
class Copies final : public reference::Call {
 public:
  /// Null where something has to be converted.
  static std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
    const TensorType& result = spec.results.at(0);
    if (!spec.constants.empty() || spec.outputs.empty()) return nullptr;
    const Storage storage = spec.outputs[0].second;
    if (storage.kind == Storage::Kind::bits) return nullptr;
    const auto same = [&](Storage s) { return s == storage; };
    if (!std::ranges::all_of(spec.operand_storages, same) ||
        !std::ranges::all_of(spec.outputs, [&](const auto& o) { return same(o.second); }))
      return nullptr;
    for (const TensorType& type : spec.operands) {
      TensorType wanted = result;
      wanted.shape = type.shape;
      if (storage.kind != Storage::Kind::f32 &&
          !reference::factors_between(reference::Layout(type, storage),
                                      reference::Layout(wanted, storage))
               .empty())
        return nullptr;
    }
    return std::make_unique<Copies>(spec);
  }

  explicit Copies(const ReferenceSpec& spec) : Call(spec) {
    const int64_t axis = attributes<ops::Concat>().axis;
    const Extents to = qloom::bind(result_type().shape, 1);
    for (int64_t a = 0; a < axis; ++a) outer_ *= to[static_cast<size_t>(a)];
    const int64_t size = bytes_per_sample({1, 1}, spec.outputs[0].second);
    total_ = run_of(to, axis) * size;
    for (size_t i = 0; i < spec.operands.size(); ++i)
      pieces_.push_back(run_of(qloom::bind(type(i).shape, 1), axis) * size);
  }

 private:
  void sample(const reference::Frame& frame) const noexcept override {
    for (size_t k = 0; k < spec().outputs.size(); ++k) {
      char* to =
          static_cast<char*>(frame.buffers[pieces_.size() + k]) + frame.sample * outer_ * total_;
      for (size_t p = 0; p < pieces_.size(); ++p) {
        const char* from = static_cast<const char*>(frame.buffers[buffer_of(p)]) +
                           frame.sample * outer_ * pieces_[p];
        for (int64_t o = 0; o < outer_; ++o)
          std::memcpy(to + o * total_, from + o * pieces_[p], static_cast<size_t>(pieces_[p]));
        to += pieces_[p];
      }
    }
  }
  std::vector<int64_t> pieces_;  ///< bytes of each operand that stand together
  int64_t outer_ = 1, total_ = 0;
};

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  if (auto copies = Copies::prepare(spec)) return copies;
  return reference::codes_or_values<Concat<int64_t>, Concat<float>>(spec);
}

double cost(const Query& query) { return reference::elements_ns(query, 1.2); }

}  // namespace

extern constinit const KernelDef reference_concat{
    .name = "reference_concat",
    .doc = "Operands one after the other along an axis.",
    .source = "own",
    .reference_op = &ops::concat,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
