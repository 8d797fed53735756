#include "passes/program/form_chains.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <set>

#include "graph/support/error.h"
#include "jit/count_emit.h"
#include "kernels/dense/dense_run.h"
#include "passes/program/build_program.h"
#include "passes/program/emit_chain.h"

namespace qloom::passes {
namespace {

using runtime::Buffer;
using runtime::Call;
using runtime::Chain;
using runtime::Loop;
using runtime::Program;

constexpr std::array<int64_t, 3> kTiles{8, 32, 128};  // tried besides the executor's
constexpr int64_t kLongestTile =
    512;  // of a chain with functions that take as many samples at once
// Measured on Zen 4. Any call: until its loops run as predicted (kws_w4a4 and digits_w4a4 in tiles
// of 1 to 64 samples). More, where the executor makes it; for each step of a loop.
constexpr double kCallNs = 55, kExecutorCallNs = 8, kExecutorStepNs = 60;
constexpr int64_t kGap = kernels::kSlackBytes + 64;

int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// A call outside of loops, or a loop with its calls: what a chain takes whole.
struct Unit {
  int first = 0, last = 0;
  const Loop* loop = nullptr;
  std::set<int> reads, writes;  ///< buffers, scratch left out; of a loop also its own
  int64_t constants_bytes = 0;
  [[nodiscard]] double repeats() const {
    return loop == nullptr ? 1 : static_cast<double>(loop->steps);
  }
};

class Former {
 public:
  Former(Program& program, const Selection& selection, const std::vector<size_t>& chosen,
         const CompileOptions& options)
      : p_(program), selection_(selection), chosen_(chosen), options_(options) {}

  FormedChains run() {
    if (p_.whole_batch || p_.calls.empty()) return {};
    plan_memory(p_);
    executor_tile_ = runtime::samples_per_tile(p_, options_.target.l2_bytes);
    longest_tile_ = runtime::samples_that_fit(p_, options_.target.l2_bytes, kLongestTile);
    for (const int64_t tile : kTiles)
      if (tile < executor_tile_) tiles_.push_back(tile);
    tiles_.push_back(executor_tile_);
    if (options_.chain_tile > 0) tiles_ = {options_.chain_tile};
    for (const std::vector<Unit>& units : runs()) {
      units_ = units;
      prepare();
      divide();
    }
    return std::move(formed_);
  }

 private:
  // --- what could be chained --------------------------------------------------------------------

  /// Units that follow each other and have functions.
  std::vector<std::vector<Unit>> runs() const {
    std::vector<std::vector<Unit>> runs(1);
    size_t loop = 0;
    for (int call = 0; call < static_cast<int>(p_.calls.size());) {
      Unit unit;
      unit.first = call;
      unit.last = call + 1;
      if (loop < p_.loops.size() && p_.loops[loop].first == call) {
        unit.loop = &p_.loops[loop++];
        unit.last = unit.loop->last;
      }
      call = unit.last;
      const bool emitted =
          unit.first < unit.last && std::all_of(
                                        p_.calls.begin() + unit.first, p_.calls.begin() + unit.last,
                                        [](const Call& c) { return c.reference < 0; });
      if (emitted)
        runs.back().push_back(uses_of(unit));
      else if (!runs.back().empty())
        runs.emplace_back();
    }
    return runs;
  }

  Unit uses_of(Unit unit) const {
    for (int i = unit.first; i < unit.last; ++i) {
      const Call& call = p_.calls[static_cast<size_t>(i)];
      unit.constants_bytes += call.constants_bytes;
      bool read = true;
      for (const int b : call.buffers) {
        if (b < 0)
          read = false;
        else if (!p_.buffers[static_cast<size_t>(b)].is_scratch)
          (read ? unit.reads : unit.writes).insert(b);
      }
    }
    if (unit.loop == nullptr) return unit;
    for (const Loop::State& s : unit.loop->states) {
      unit.writes.insert({s.before, s.after});
      if (s.initial >= 0) unit.reads.insert(s.initial);
    }
    for (const Loop::Sequence& s : unit.loop->sequences) {
      (s.collected ? unit.writes : unit.reads).insert(s.whole);
      unit.writes.insert(s.step);
    }
    for (const int b : unit.writes) unit.reads.erase(b);
    return unit;
  }

  [[nodiscard]] bool is_port(int buffer) const {
    const auto names = [&](const runtime::Port& port) { return port.buffer == buffer; };
    return std::ranges::any_of(p_.all_inputs(), names) ||
           std::ranges::any_of(p_.all_outputs(), names);
  }

  // --- what it costs ----------------------------------------------------------------------------

  /// First and last unit of the run that uses a buffer; outside of the run: before and behind all.
  struct Span {
    int first = std::numeric_limits<int>::max(), last = -1;
  };

  void prepare() {
    spans_.clear();
    kernel_ns_.assign(units_.size(), {});
    const int n = static_cast<int>(units_.size());
    for (int u = 0; u < n; ++u)
      for (const auto* list : {&units_[u].reads, &units_[u].writes})
        for (const int b : *list) {
          spans_[b].first = std::min(spans_[b].first, u);
          spans_[b].last = std::max(spans_[b].last, u);
        }
    const auto outside = [&](int b) {
      if (const auto at = spans_.find(b); at != spans_.end()) at->second = {-1, n};
    };
    for (const auto& port : p_.all_inputs()) outside(port.buffer);
    for (const auto& port : p_.all_outputs()) outside(port.buffer);
    if (n == 0) return;
    for (int i = 0; i < static_cast<int>(p_.calls.size()); ++i)
      if (i < units_.front().first || i >= units_.back().last)
        for (const int b : p_.calls[static_cast<size_t>(i)].buffers) outside(b);
    for (const Loop& loop : p_.loops) {
      if (loop.first >= units_.front().first && loop.last <= units_.back().last) continue;
      for (const Loop::State& s : loop.states)
        for (const int b : {s.before, s.after, s.initial}) outside(b);
      for (const Loop::Sequence& s : loop.sequences)
        for (const int b : {s.whole, s.step}) outside(b);
    }
  }

  /// Of a call on tiles of `tile` samples, per sample and step. A time that the selection has
  /// (measured ones included) is scaled by what is counted.
  double kernel_ns(int call, int64_t tile) const {
    const Selected& selected = selection_.calls[static_cast<size_t>(call)];
    const Choice& choice = selected.choices[chosen_[static_cast<size_t>(call)]];
    if (choice.kernel->emit == nullptr || choice.predicted_ns <= 0) return choice.predicted_ns;
    const auto counted = [&](int64_t samples) {
      return kernels::predicted_ns(*choice.kernel, *choice.query, choice.variant, options_.target,
                                   samples);
    };
    return choice.predicted_ns * counted(tile) / counted(options_.batch);
  }

  double unit_ns(int u, int64_t tile) {
    const auto [at, is_new] = kernel_ns_[static_cast<size_t>(u)].try_emplace(tile, 0);
    if (is_new)
      for (int i = units_[u].first; i < units_[u].last; ++i)
        at->second += kernel_ns(i, tile);  // of all steps
    return at->second;
  }

  /// Nanoseconds per sample of units [first, last): in tiles of `tile` samples, as one function or
  /// each call by the executor. What lies between calls is streamed while they compute
  /// (predicted_ns takes the longer of both), so tiles that a nearer cache holds gain only where a
  /// call does hardly more than move it.
  double cost(int first, int last, int64_t tile, bool chained) {
    double ns = 0, starts = chained ? kExecutorCallNs : 0;
    for (int u = first; u < last; ++u) {
      const Unit& unit = units_[static_cast<size_t>(u)];
      const double calls = (unit.last - unit.first) * unit.repeats();
      ns += unit_ns(u, tile);
      starts += kCallNs * calls;
      if (chained) continue;
      starts += kExecutorCallNs * calls;
      if (unit.loop != nullptr) starts += kExecutorStepNs * unit.repeats();
    }
    return ns + starts / static_cast<double>(tile);
  }

  // --- the division -----------------------------------------------------------------------------

  /// The cheapest division of the run into chains and calls apart.
  void divide() {
    const int n = static_cast<int>(units_.size());
    if (options_.chain_tile > 0 && n > 0) return add(0, n, options_.chain_tile);
    struct Best {
      double ns = 0;
      int from = 0;
      int64_t tile = 0;  ///< 0: apart
    };
    std::vector<Best> best(static_cast<size_t>(n) + 1);
    for (int end = 1; end <= n; ++end) {
      Best& b = best[static_cast<size_t>(end)];
      b = {best[static_cast<size_t>(end) - 1].ns + cost(end - 1, end, executor_tile_, false),
           end - 1, 0};
      for (int begin = end - 1; begin >= 0; --begin) {
        if (end - begin < 2 && units_[static_cast<size_t>(begin)].loop == nullptr) continue;
        for (const int64_t tile : tiles_) {
          const double ns = best[static_cast<size_t>(begin)].ns + cost(begin, end, tile, true);
          if (ns < b.ns) b = {ns, begin, tile};
        }
      }
    }
    std::vector<std::pair<int, int>> chains;
    std::vector<int64_t> tiles;
    for (int end = n; end > 0; end = best[static_cast<size_t>(end)].from)
      if (const Best& b = best[static_cast<size_t>(end)]; b.tile > 0) {
        chains.insert(chains.begin(), {b.from, end});
        tiles.insert(tiles.begin(), b.tile);
      }
    for (size_t i = 0; i < chains.size(); ++i) add(chains[i].first, chains[i].second, tiles[i]);
  }

  void add(int first, int last, int64_t tile) {
    auto plan = std::make_shared<ChainPlan>();
    plan->tile = tile;
    plan->first = units_[static_cast<size_t>(first)].first;
    plan->last = units_[static_cast<size_t>(last) - 1].last;
    plan->calls.assign(p_.calls.begin() + plan->first, p_.calls.begin() + plan->last);
    for (int u = first; u < last; ++u)
      if (units_[static_cast<size_t>(u)].loop != nullptr)
        plan->loops.push_back(*units_[static_cast<size_t>(u)].loop);

    Chain chain;
    chain.first = plan->first;
    chain.last = plan->last;
    Call& call = chain.call;
    call.kernel = "chain";
    call.node = join_text(plan->calls.front().node, " … ", plan->calls.back().node);
    call.symbol = join_text("chain", p_.chains.size(), "_", plan->calls.front().symbol);
    fuse(first, last, *plan);
    tile = chain.tile = plan->tile;
    std::vector<int> inside;
    place_outside(first, last, *plan, call, inside);
    const int64_t bytes = place_inside(*plan, inside);
    if (bytes > 0) {
      plan->scratch = static_cast<int>(call.buffers.size());
      call.buffers.push_back(static_cast<int>(p_.buffers.size()));
      Buffer& scratch = p_.buffers.emplace_back();
      scratch.name = call.node + " scratch";
      scratch.bytes_per_sample = bytes;
      scratch.is_scratch = true;
    }
    call.constants_bytes = static_cast<int64_t>(p_.constants.size());
    ChainReport report{.regions = {},
                       .tile = tile,
                       .scratch_bytes = bytes,
                       .apart_ns = 0,
                       .predicted_ns = cost(first, last, tile, true),
                       .fused = {}};
    for (const Fusion& f : fusions_) {
      report.predicted_ns += f.ns - f.apart_ns;
      report.fused.push_back(f.text);
    }
    for (int u = first; u < last; ++u) report.apart_ns += cost(u, u + 1, executor_tile_, false);
    for (const Call& c : plan->calls) {
      report.regions.push_back(c.node);
      call.macs += c.macs;
    }
    call.predicted_ns = report.predicted_ns;
    formed_.reports.push_back(std::move(report));
    formed_.functions.push_back({call.symbol, [plan](jit::Emitter& e) { emit_chain(*plan, e); }});
    p_.chains.push_back(std::move(chain));
  }

  // --- layers with samples in the lanes or bits -------------------------------------------------

  struct Fusion {
    double ns = 0, apart_ns = 0;  ///< per sample
    int64_t scratch_bytes = 0;
    std::string text;
  };

  /// The query of a unit that is one emitted call with one buffer in and one out; else null.
  [[nodiscard]] std::shared_ptr<const kernels::Query> query_of(int u) const {
    const Unit& unit = units_[static_cast<size_t>(u)];
    if (unit.loop != nullptr || unit.reads.size() != 1 || unit.writes.size() != 1) return nullptr;
    const auto call = static_cast<size_t>(unit.first);
    const Choice& choice = selection_.calls[call].choices[chosen_[call]];
    return choice.tail != nullptr ? choice.query : nullptr;
  }

  /// Whether all that unit u writes is read by the next alone.
  [[nodiscard]] bool feeds_next_alone(int u) const {
    const int b = *units_[static_cast<size_t>(u)].writes.begin();
    const Span& span = spans_.at(b);
    return span.first == u && span.last == u + 1 &&
           units_[static_cast<size_t>(u) + 1].reads.contains(b);
  }

  void fuse(int first, int last, ChainPlan& plan) {
    fusions_.clear();
    for (int begin = first; begin < last;) {
      kernels::DenseRun run;
      int end = begin, found = begin;
      while (end < last) {
        const auto query = query_of(end);
        if (query == nullptr) break;
        run.push_back(query);
        ++end;
        if (kernels::check_dense_run(run)) found = end;
        if (end == last || !feeds_next_alone(end - 1)) break;
      }
      run.resize(static_cast<size_t>(found - begin));
      if (found > begin) fuse_dense(begin, found, run, plan);
      begin = std::max(found, begin + 1);
    }
  }

  /// A function for a run, with what it takes per sample.
  struct Candidate {
    const kernels::DenseRunDef* def = nullptr;
    std::shared_ptr<const kernels::DenseFunction> function;
    std::vector<uint8_t> constants;
    double ns = 0;
  };

  /// Those that are faster than all others of smaller tiles, and than the calls; largest tile
  /// first.
  std::vector<Candidate> candidates(const kernels::DenseRun& run,
                                    const kernels::DenseRunDef* pinned, int64_t tile,
                                    double apart_ns) const {
    const jit::Target& target = options_.target;
    const int64_t most = options_.chain_tile == 0 && tile == executor_tile_ ? longest_tile_ : tile;
    std::vector<Candidate> all;
    for (const kernels::DenseRunDef* def : kernels::all_dense_runs()) {
      const auto& disabled = options_.disabled_kernels;
      if (std::ranges::find(disabled, def->name) != disabled.end()) continue;
      if (pinned != nullptr && pinned != def) continue;
      if (!def->match(run, target)) continue;
      for (auto& prepared : def->prepare(run, target)) {
        std::shared_ptr<const kernels::DenseFunction> function = std::move(prepared);
        if (function->tile() > most) continue;
        const int64_t samples = std::max<int64_t>(64, function->tile());
        const jit::FunctionSource source{"run", [&](jit::Emitter& e) { function->emit(e); }};
        std::vector<uint8_t> constants = function->pack();
        const auto swept = static_cast<int64_t>(constants.size()) + function->scratch_bytes();
        const double ns =
            jit::predicted_ns(jit::count_operations(source, target, samples), target, swept) *
            function->over_counted().on(target);
        all.push_back(
            {def, std::move(function), std::move(constants), ns / static_cast<double>(samples)});
      }
    }
    std::ranges::sort(all, {}, [](const Candidate& c) { return c.function->tile(); });
    double best = apart_ns;
    std::erase_if(all, [&](const Candidate& c) {
      const bool slower = c.ns >= best && pinned == nullptr;
      best = std::min(best, c.ns);
      return slower;
    });
    std::ranges::reverse(all);
    return all;
  }

  /// That CompileOptions::pinned names for a node; null: none.
  [[nodiscard]] const kernels::DenseRunDef* pinned_run(const std::string& node) const {
    for (const auto& [name, pin] : options_.pinned)
      if (name == node) return kernels::find_dense_run(pin);
    return nullptr;
  }

  /// What run [begin, end) or a run that begins later saves most by.
  void fuse_dense(int begin, int end, const kernels::DenseRun& run, ChainPlan& plan) {
    int best_begin = begin;
    double best_saved = 0;
    std::vector<Candidate> best;
    for (int first = begin; first < end; ++first) {
      const kernels::DenseRun part(run.begin() + (first - begin), run.end());
      if (!kernels::check_dense_run(part)) continue;
      const kernels::DenseRunDef* pinned = pinned_run(part[0]->name);
      const double apart = apart_ns(first, end, plan.tile);
      std::vector<Candidate> forms = candidates(part, pinned, plan.tile, apart);
      if (pinned != nullptr && !forms.empty()) return add_fused(first, end, forms, plan);
      if (forms.empty() || apart - forms[0].ns <= best_saved) continue;
      best_begin = first;
      best_saved = apart - forms[0].ns;
      best = std::move(forms);
    }
    if (!best.empty()) add_fused(best_begin, end, best, plan);
  }

  /// Units [begin, end), each a call.
  double apart_ns(int begin, int end, int64_t tile) {
    double ns = (end - begin) * kCallNs / static_cast<double>(tile);
    for (int u = begin; u < end; ++u) ns += unit_ns(u, tile);
    return ns;
  }

  void add_fused(int begin, int end, const std::vector<Candidate>& forms, ChainPlan& plan) {
    const auto& calls = p_.calls;
    const Unit &front = units_[static_cast<size_t>(begin)],
               &back = units_[static_cast<size_t>(end) - 1];
    Fusion fusion;
    fusion.apart_ns = apart_ns(begin, end, plan.tile);
    ChainPlan::Fused fused;
    fused.first = front.first;
    fused.last = back.last;
    fused.input = *front.reads.begin();
    fused.output = *back.writes.begin();
    fusion.text = join_text(calls[static_cast<size_t>(front.first)].node, " … ",
                            calls[static_cast<size_t>(back.first)].node, ":");
    fusion.ns = fusion.apart_ns;
    for (size_t i = 0; i < forms.size(); ++i) {
      const Candidate& form = forms[i];
      const kernels::DenseFunction& function = *form.function;
      const std::vector<uint8_t>& constants = form.constants;
      fusion.scratch_bytes = std::max(fusion.scratch_bytes, function.scratch_bytes());
      // What calls of as many samples as are expected take.
      if (function.tile() <= options_.batch) fusion.ns = std::min(fusion.ns, form.ns);
      p_.constants.resize(static_cast<size_t>(aligned(static_cast<int64_t>(p_.constants.size()))));
      const jit::FunctionSource source{
          join_text(form.def->where, plan.fused.size(), "_", function.tile(), "_",
                    calls[static_cast<size_t>(front.first)].symbol),
          [f = form.function](jit::Emitter& e) { f->emit(e); }};
      // What is left goes through the next form, if only for the most part.
      const double next_ns = i + 1 < forms.size() ? forms[i + 1].ns : fusion.apart_ns;
      const double worth = static_cast<double>(function.tile()) * form.ns / next_ns;
      fused.forms.push_back({source.name, function.tile(),
                             static_cast<int64_t>(p_.constants.size()),
                             static_cast<int64_t>(worth) + 1});
      plan.tile = std::max(plan.tile, function.tile());
      p_.constants.insert(p_.constants.end(), constants.begin(), constants.end());
      fusion.text += join_text(fused.forms.size() == 1 ? " " : ", then ", function.tile(),
                               " samples in the ", form.def->where, " of each vector");
      formed_.functions.push_back(source);
    }
    plan.fused.push_back(std::move(fused));
    fusions_.push_back(std::move(fusion));
  }

  // --- a chain ----------------------------------------------------------------------------------

  /// What others use as well, read before the constants and written behind them.
  void place_outside(int first, int last, ChainPlan& plan, Call& call, std::vector<int>& inside) {
    std::set<int> reads, writes, internal;
    for (int u = first; u < last; ++u)
      for (const auto* list : {&units_[u].reads, &units_[u].writes})
        for (const int b : *list) {
          const Span& span = spans_.at(b);
          if (span.first >= first && span.last < last)
            internal.insert(b);
          else if (list == &units_[u].writes)
            writes.insert(b);
          else if (!writes.contains(b))
            reads.insert(b);
        }
    inside.assign(internal.begin(), internal.end());
    const auto place = [&](int b) {
      plan.places[b] = {.argument = static_cast<int>(call.buffers.size()),
                        .offset = 0,
                        .bytes_per_sample = p_.buffers[static_cast<size_t>(b)].bytes_per_sample,
                        .is_scratch = false};
      call.buffers.push_back(b);
    };
    for (const int b : reads) place(b);
    plan.constants = static_cast<int>(call.buffers.size());
    call.buffers.push_back(-1);
    for (const int b : writes) place(b);
  }

  /// Scratch of calls in front, which all share, then what lies between calls: those that are not
  /// live together share memory. Returns the bytes needed.
  int64_t place_inside(ChainPlan& plan, const std::vector<int>& inside) {
    int64_t own = 0;
    for (const Call& call : plan.calls)
      for (const int b : call.buffers) {
        if (b < 0 || !p_.buffers[static_cast<size_t>(b)].is_scratch) continue;
        const int64_t bytes = p_.buffers[static_cast<size_t>(b)].bytes_per_sample;
        plan.places[b] = {
            .argument = -1, .offset = kGap, .bytes_per_sample = bytes, .is_scratch = true};
        own = std::max(own, bytes);
      }
    for (size_t i = 0; i < fusions_.size(); ++i) {
      plan.fused[i].scratch = kGap;
      own = std::max(own, fusions_[i].scratch_bytes);
    }
    const int64_t base = own > 0 ? kGap + aligned(own) + kGap : kGap;
    int64_t end = own > 0 ? base : 0;
    struct Placed {
      int64_t begin, end;
      Span span;
    };
    std::vector<Placed> placed;
    std::vector<int> order = inside;
    std::ranges::stable_sort(order, [&](int a, int b) {
      return p_.buffers[static_cast<size_t>(a)].bytes_per_sample >
             p_.buffers[static_cast<size_t>(b)].bytes_per_sample;
    });
    for (const int b : order) {
      const int64_t per_sample = p_.buffers[static_cast<size_t>(b)].bytes_per_sample;
      const int64_t bytes = aligned(per_sample * plan.tile) + kGap;
      const Span span = spans_.at(b);
      std::ranges::sort(placed, {}, &Placed::begin);
      int64_t at = base;
      for (const Placed& other : placed) {
        if (other.span.first > span.last || other.span.last < span.first) continue;
        if (at + bytes <= other.begin) break;
        at = std::max(at, other.end);
      }
      placed.push_back({at, at + bytes, span});
      plan.places[b] = {
          .argument = -1, .offset = at, .bytes_per_sample = per_sample, .is_scratch = false};
      end = std::max(end, at + bytes);
    }
    return end;
  }

  Program& p_;
  const Selection& selection_;
  const std::vector<size_t>& chosen_;
  const CompileOptions& options_;
  int64_t executor_tile_ = 1, longest_tile_ = 1;
  std::vector<int64_t> tiles_;  ///< that are tried
  std::vector<Unit> units_;     ///< of the run at hand
  std::map<int, Span> spans_;
  std::vector<std::map<int64_t, double>> kernel_ns_;
  std::vector<Fusion> fusions_;  ///< of the chain at hand
  FormedChains formed_;
};

}  // namespace

FormedChains form_chains(Program& program, const Selection& selection,
                         const std::vector<size_t>& chosen, const CompileOptions& options) {
  return Former(program, selection, chosen, options).run();
}

}  // namespace qloom::passes
