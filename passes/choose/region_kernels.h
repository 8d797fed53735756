#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "passes/choose/select_kernels.h"
#include "passes/tail/lower_tail.h"

namespace qloom::passes {

/// "KERNEL VARIANT" → KERNEL (CompileOptions::pinned).
[[nodiscard]] std::string_view pinned_kernel(std::string_view pin);
/// Throws UserError for unknown names in `pinned` and `disabled_kernels`.
void check_names(const CompileOptions& options);
/// Why an option rules the kernel out for a node; empty if none does.
[[nodiscard]] std::string ruled_out(const kernels::KernelDef& kernel, const std::string& node,
                                    const CompileOptions& options);

/// What could run one region, and how long it takes for each way in which values are stored. Tails
/// are lowered and costs are counted once, when somebody asks.
class RegionKernels {
 public:
  /// A result and its storage, in the order of the tail's outputs.
  using Outputs = std::vector<std::pair<int, kernels::Storage>>;
  /// Kernels that want their input in this storage.
  struct Group {
    kernels::Storage input;
    std::vector<const kernels::KernelDef*> kernels;
  };
  /// Storages of everything but the input.
  struct Layout {
    std::vector<kernels::Storage> operands;  ///< of tail operands
    Outputs outputs;
    std::vector<Part> parts = {};  ///< of the outputs; empty: all lie by themselves
  };

  /// Asks every kernel. `usual`: results that somebody reads, in their plain storages.
  RegionKernels(const Graph& graph, const Node& region, const CompileOptions& options,
                Outputs usual);
  /// Why nothing runs it; else "".
  [[nodiscard]] const std::string& unfit() const { return unfit_; }
  [[nodiscard]] const std::vector<Group>& groups() const { return groups_; }
  /// Positions of the tail's operands among the region's, and their plain storages.
  [[nodiscard]] const std::vector<int>& operands() const { return operands_; }
  [[nodiscard]] const std::vector<kernels::Storage>& plain_operands() const { return plain_; }

  /// Predicted nanoseconds of the best choice; infinity where there is none.
  [[nodiscard]] double cost(size_t group, const Layout& layout);
  /// All choices, cheapest first; their tail is verified.
  [[nodiscard]] std::vector<Choice> choices(size_t group, const Layout& layout);
  /// Every kernel of the list with its verdict, and the best time of those that match.
  [[nodiscard]] std::vector<Candidate> candidates(const Layout& layout);

 private:
  struct LoweredOnce {
    std::shared_ptr<kernels::Tail> tail;  ///< null: `reason` says why
    std::string reason;
    bool verified = false;
  };
  using Key = std::tuple<std::string, std::string, std::string>;  ///< input, operands, outputs
  [[nodiscard]] TailRequest request_for(kernels::Storage input, const Layout& layout);
  [[nodiscard]] LoweredOnce& tail_for(kernels::Storage input, const Layout& layout);
  [[nodiscard]] double kernel_cost(const kernels::KernelDef& kernel, kernels::Storage input,
                                   const Layout& layout);
  [[nodiscard]] const std::vector<Choice>& all_choices(const kernels::KernelDef& kernel,
                                                       kernels::Storage input,
                                                       const Layout& layout);
  [[nodiscard]] static Key key_of(kernels::Storage input, const Layout& layout);
  /// Measured over predicted time of a variant, 1 where nothing was measured.
  [[nodiscard]] double correction(const kernels::KernelDef& kernel, const std::string& variant);
  /// Finds them for a kernel from predictions of its variants.
  void learn(const kernels::KernelDef& kernel, const std::vector<Choice>& predicted);
  /// Of one kernel; `among`: only these variants, or null for all.
  void add_choices(const kernels::KernelDef& kernel, kernels::Storage input, const Layout& layout,
                   const std::vector<Choice>* among, std::vector<Choice>& out);

  const Graph& graph_;
  const Node& region_;
  const CompileOptions& options_;
  kernels::Query base_;
  bool rooted_ = false;
  std::vector<int> operands_;
  std::vector<kernels::Storage> plain_;
  std::vector<Group> groups_;
  std::vector<Candidate> verdicts_;
  std::string unfit_;
  std::map<Key, LoweredOnce> tails_;
  KnownTransitions transitions_;
  const std::vector<KernelTime>* times_ = nullptr;  ///< of this shape; null: not measured
  std::map<std::pair<const kernels::KernelDef*, std::string>, double> corrections_;
  double worst_correction_ = 0;  ///< of those measured so far; 0: none
  std::map<std::pair<const kernels::KernelDef*, Key>, double> costs_;
  /// What was counted in full, cheapest first.
  std::map<std::pair<const kernels::KernelDef*, Key>, std::vector<Choice>> counted_;
  /// The first of those by kernel: tells which variants are in question for other layouts.
  std::map<const kernels::KernelDef*, const std::vector<Choice>*> first_;
};

}  // namespace qloom::passes
