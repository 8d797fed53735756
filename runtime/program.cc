#include "runtime/program.h"

#include <algorithm>
#include <iomanip>
#include <limits>
#include <sstream>

#include "graph/support/error.h"

namespace qloom::runtime {
namespace {

using kernels::kSlackBytes;

// Larger plans are refused, so that no sum below overflows.
constexpr int64_t kMostBytes = int64_t{1} << 40;
constexpr int64_t kMostTile = int64_t{1} << 20;

/// Which of a call's buffers are read, written, and neither.
struct Roles {
  size_t reads = 0;   ///< the first ones
  size_t writes = 0;  ///< after the reads and the constants
  bool has_constants = false;
};

class Verifier {
 public:
  explicit Verifier(const Program& program) : p_(program) {}

  void run() {
    qloom_assert(in_range(p_.arena_bytes_per_sample) && in_range(p_.arena_bytes_fixed), "program '",
                 p_.model, "': arena of ", p_.arena_bytes_fixed, " + ", p_.arena_bytes_per_sample,
                 " bytes per sample");
    check_buffers();
    for (const Buffer& b : p_.buffers) writes_left_.push_back(b.writers);
    for (const Kept& kept : p_.kept)
      qloom_assert(kept.before.shape == kept.after.shape &&
                       elements_per_sample(kept.before.shape) == std::ssize(kept.initial),
                   "program '", p_.model, "': what is kept of '", kept.before.name,
                   "' has no one shape");
    for (const Port& port : p_.all_inputs()) {
      check_port(port, "input");
      qloom_assert(count_write(port.buffer) && is_written(port.buffer), "program '", p_.model,
                   "': input '", port.name, "' shares its buffer with another");
    }
    size_t loop = 0;
    int end = 0;
    for (size_t i = 0; i <= p_.calls.size(); ++i) {
      if (loop > 0 && p_.loops[loop - 1].last == static_cast<int>(i)) leave(p_.loops[loop - 1]);
      for (; loop < p_.loops.size() && p_.loops[loop].first == static_cast<int>(i); ++loop) {
        const Loop& l = p_.loops[loop];
        qloom_assert(l.first >= end && l.first <= l.last && l.steps >= 1, "program '", p_.model,
                     "': loop ", loop, " over calls ", l.first, " to ", l.last, ", ", l.steps,
                     " steps, begins before the last one ends");
        end = l.last;
        enter(l);
        if (l.last == l.first) leave(l);
      }
      if (i < p_.calls.size()) check_call(i);
    }
    qloom_assert(loop == p_.loops.size() && end <= static_cast<int>(p_.calls.size()), "program '",
                 p_.model, "': loop ", loop, " is out of order");
    for (const Port& port : p_.all_outputs()) {
      check_port(port, "output");
      const Buffer& b = buffer(port.buffer);
      qloom_assert(is_written(port.buffer), "program '", p_.model, "': output '", port.name,
                   "' is never written, or not all of it");
      qloom_assert(b.last_use >= static_cast<int>(p_.calls.size()) - 1, "program '", p_.model,
                   "': the buffer of output '", port.name, "' is live until call ", b.last_use,
                   " only");
    }
    check_chains();
    check_overlap();
  }

 private:
  static bool in_range(int64_t bytes) { return bytes >= 0 && bytes < kMostBytes; }
  [[nodiscard]] const Buffer& buffer(int i) const { return p_.buffers[static_cast<size_t>(i)]; }
  [[nodiscard]] bool is_written(int i) const { return writes_left_[static_cast<size_t>(i)] == 0; }
  /// False where the buffer has all that is written to it.
  bool count_write(int i) { return --writes_left_[static_cast<size_t>(i)] >= 0; }
  static int64_t slope(const Buffer& b) { return b.is_scratch ? 0 : b.bytes_per_sample; }
  static int64_t fixed(const Buffer& b) { return b.is_scratch ? b.bytes_per_sample : 0; }

  void check_buffers() const {
    for (const Buffer& b : p_.buffers) {
      qloom_assert(
          in_range(b.bytes_per_sample) && in_range(b.offset_per_sample) && in_range(b.offset_fixed),
          "program '", p_.model, "': buffer '", b.name, "' has ", b.bytes_per_sample, " bytes at ",
          b.offset_fixed, " + ", b.offset_per_sample, " per sample");
      // Arenas are made for a multiple of 8 samples, so every buffer begins at a multiple of 64.
      qloom_assert(b.offset_fixed % 64 == 0 && b.offset_per_sample % 8 == 0, "program '", p_.model,
                   "': buffer '", b.name, "' at ", b.offset_fixed, " + ", b.offset_per_sample,
                   " per sample is not aligned to 64 + 8 per sample");
      qloom_assert(b.writers >= 1, "program '", p_.model, "': buffer '", b.name, "' has ",
                   b.writers, " writers");
      qloom_assert(b.first_use >= -1 && b.first_use <= b.last_use, "program '", p_.model,
                   "': buffer '", b.name, "' is live from ", b.first_use, " to ", b.last_use);
      qloom_assert(before(b.offset_fixed + fixed(b), b.offset_per_sample + slope(b),
                          p_.arena_bytes_fixed, p_.arena_bytes_per_sample, 0),
                   "program '", p_.model, "': buffer '", b.name, "' ends outside of the arena");
    }
  }

  void check_port(const Port& port, const char* what) const {
    qloom_assert(port.buffer >= 0 && port.buffer < static_cast<int>(p_.buffers.size()), "program '",
                 p_.model, "': ", what, " '", port.name, "' has buffer ", port.buffer, " of ",
                 p_.buffers.size());
    const Buffer& b = buffer(port.buffer);
    const int64_t bytes = kernels::bytes_per_sample(port.shape, kernels::Storage::f32());
    qloom_assert(!b.is_scratch && b.bytes_per_sample == bytes, "program '", p_.model, "': ", what,
                 " '", port.name, "' of ", bytes, " bytes per sample has buffer '", b.name, "' of ",
                 b.bytes_per_sample);
  }

  template <class... Parts>
  void require(bool holds, const Call& call, const Parts&... parts) const {
    qloom_assert(holds, "program '", p_.model, "': call '", call.node, "' (", call.kernel, ") ",
                 join_text(parts...));
  }

  Roles roles(const Call& call) const {
    if (call.reference >= 0) {
      const kernels::ReferenceSpec& spec = p_.references[static_cast<size_t>(call.reference)];
      require(spec.operand_storages.size() == spec.operands.size(), call, "has ",
              spec.operands.size(), " operands and ", spec.operand_storages.size(), " storages");
      std::vector<bool> constant(spec.operands.size(), false);
      for (const auto& [position, tensor] : spec.constants) {
        require(position >= 0 && position < static_cast<int>(constant.size()) &&
                    !constant[static_cast<size_t>(position)],
                call, "has a constant for operand ", position);
        constant[static_cast<size_t>(position)] = true;
      }
      const size_t reads = spec.operands.size() - spec.constants.size();
      const size_t writes = spec.outputs.size();
      require(call.buffers.size() >= reads + writes && call.buffers.size() <= reads + writes + 1,
              call, "has ", call.buffers.size(), " buffers for ", reads, " operands and ", writes,
              " outputs");
      check_sizes(call, spec, constant, reads);
      return {reads, writes, false};
    }
    size_t constants = call.buffers.size();
    for (size_t i = 0; i < call.buffers.size(); ++i)
      if (call.buffers[i] == -1) {
        require(constants == call.buffers.size(), call, "names its constants twice");
        constants = i;
      }
    require(constants < call.buffers.size(), call, "has no place for its constants");
    Roles r{constants, 0, true};
    for (size_t i = constants + 1; i < call.buffers.size(); ++i)
      if (!is_scratch(call, call.buffers[i])) ++r.writes;
    return r;
  }

  bool is_scratch(const Call& call, int index) const {
    require(index >= 0 && index < static_cast<int>(p_.buffers.size()), call, "uses buffer ", index,
            " of ", p_.buffers.size());
    return buffer(index).is_scratch;
  }

  /// Buffers of a reference call hold what its types say.
  void check_sizes(const Call& call, const kernels::ReferenceSpec& spec,
                   const std::vector<bool>& constant, size_t reads) const {
    const auto check = [&](size_t at, const TensorType& type, kernels::Storage storage) {
      const bool scratch = is_scratch(call, call.buffers[at]);
      const Buffer& b = buffer(call.buffers[at]);
      const int64_t bytes = kernels::bytes_per_sample(type.shape, storage);
      require(!scratch && b.bytes_per_sample == bytes, call, "needs ", bytes,
              " bytes per sample for ", type, " as ", storage, ", buffer '", b.name, "' has ",
              b.bytes_per_sample);
    };
    size_t at = 0;
    for (size_t i = 0; i < spec.operands.size(); ++i)
      if (!constant[i]) check(at++, spec.operands[i], spec.operand_storages[i]);
    for (size_t i = 0; i < spec.outputs.size(); ++i) {
      const auto& [result, storage] = spec.outputs[i];
      require(result >= 0 && result < static_cast<int>(spec.results.size()), call, "stores result ",
              result, " of ", spec.results.size());
      check(reads + i, spec.results[static_cast<size_t>(result)], storage);
    }
  }

  void check_constants(const Call& call) const {
    const auto constants = static_cast<int64_t>(p_.constants.size());
    require(call.constants_bytes >= 0 && call.constants_offset >= 0 &&
                call.constants_bytes <= constants &&
                call.constants_offset <= constants - call.constants_bytes,
            call, "has constants at ", call.constants_offset, " + ", call.constants_bytes, " of ",
            constants);
    require(call.constants_offset % 64 == 0, call, "has constants at ", call.constants_offset,
            ", no multiple of 64");
  }

  void check_call(size_t index) {
    const Call& call = p_.calls[index];
    require(call.reference >= -1 && call.reference < static_cast<int>(p_.references.size()), call,
            "has reference ", call.reference, " of ", p_.references.size());
    require((call.reference < 0) != call.symbol.empty(), call,
            "needs either a symbol or a reference");
    check_constants(call);
    const Roles r = roles(call);
    for (size_t i = 0; i < call.buffers.size(); ++i) {
      if (r.has_constants && i == r.reads) continue;
      const int b = call.buffers[i];
      const bool scratch = is_scratch(call, b);
      const auto at = static_cast<int>(index);
      require(buffer(b).first_use <= at && at <= buffer(b).last_use, call, "uses buffer '",
              buffer(b).name, "' in call ", at, ", planned for ", buffer(b).first_use, " to ",
              buffer(b).last_use);
      if (i < r.reads) {
        require(!scratch, call, "reads scratch '", buffer(b).name, "'");
        require(is_written(b), call, "reads buffer '", buffer(b).name, "' before it is written");
      }
    }
    const size_t first = r.reads + (r.has_constants ? 1 : 0);
    for (size_t i = first; i < call.buffers.size(); ++i) {
      const int b = call.buffers[i];
      const bool scratch = buffer(b).is_scratch;
      require(scratch == (i >= first + r.writes), call, "has buffer '", buffer(b).name, "' where ",
              scratch ? "an output" : "scratch", " belongs");
      if (scratch) continue;
      require(count_write(b), call, "writes buffer '", buffer(b).name,
              "', which is written already");
    }
  }

  void require_loop(bool holds, const Loop& loop, const char* what) const {
    qloom_assert(holds, "program '", p_.model, "': loop over calls ", loop.first, " to ", loop.last,
                 " ", what);
  }

  const Buffer& loop_buffer(const Loop& loop, int index) const {
    require_loop(index >= 0 && index < static_cast<int>(p_.buffers.size()) &&
                     !p_.buffers[static_cast<size_t>(index)].is_scratch,
                 loop, "names a buffer that is none");
    const Buffer& b = buffer(index);
    require_loop(b.first_use <= loop.first && b.last_use >= std::max(loop.first, loop.last - 1),
                 loop, "has a buffer that is not live all along");
    return b;
  }

  void write(const Loop& loop, int index) {
    require_loop(count_write(index) && is_written(index), loop, "writes a buffer twice");
  }

  void enter(const Loop& loop) {
    for (const Loop::State& s : loop.states) {
      const int64_t bytes = loop_buffer(loop, s.before).bytes_per_sample;
      require_loop(loop_buffer(loop, s.after).bytes_per_sample == bytes, loop,
                   "has a state whose buffers differ in size");
      require_loop(!s.exchange || s.before != s.after, loop, "exchanges a buffer with itself");
      if (s.initial >= 0) {
        require_loop(s.initial < static_cast<int>(p_.buffers.size()) && is_written(s.initial) &&
                         buffer(s.initial).bytes_per_sample == bytes,
                     loop, "begins with a buffer that is not written or has another size");
      } else {
        require_loop(s.constants_offset >= 0 && s.constants_offset % 64 == 0 &&
                         s.constants_offset + bytes <= static_cast<int64_t>(p_.constants.size()),
                     loop, "begins with constants that do not exist");
      }
      write(loop, s.before);
    }
    for (const Loop::Sequence& s : loop.sequences) {
      const Buffer &whole = loop_buffer(loop, s.whole), &step = loop_buffer(loop, s.step);
      require_loop(whole.bytes_per_sample == step.bytes_per_sample * loop.steps, loop,
                   "has a sequence that is not as large as its steps");
      if (s.collected) continue;
      require_loop(is_written(s.whole), loop, "reads a sequence before it is written");
      write(loop, s.step);
    }
  }

  void leave(const Loop& loop) {
    for (const Loop::State& s : loop.states)
      require_loop(is_written(s.after), loop, "does not write a state");
    for (const Loop::Sequence& s : loop.sequences) {
      if (!s.collected) continue;
      require_loop(is_written(s.step) && !s.view, loop, "collects what is not written");
      write(loop, s.whole);
    }
  }

  /// What a chain reads is there before its first call, what it writes is read only behind its
  /// last, and all of it is live as long as the chain runs.
  void check_chains() const {
    int end = 0;
    for (const Chain& chain : p_.chains) {
      const Call& call = chain.call;
      require(chain.first >= end && chain.first < chain.last &&
                  chain.last <= static_cast<int>(p_.calls.size()) && chain.tile >= 1,
              call, "is a chain of calls ", chain.first, " to ", chain.last, " in tiles of ",
              chain.tile);
      end = chain.last;
      require(call.reference < 0 && !call.symbol.empty(), call, "needs a symbol");
      check_constants(call);
      for (const Loop& loop : p_.loops)
        require(loop.first < loop.last ? (loop.last <= chain.first || loop.first >= chain.last ||
                                          (loop.first >= chain.first && loop.last <= chain.last))
                                       : (loop.first <= chain.first || loop.first >= chain.last),
                call, "cuts a loop, or lies across one without calls");
      for (int i = chain.first; i < chain.last; ++i)
        require(p_.calls[static_cast<size_t>(i)].reference < 0, call, "has a reference call");
      static_cast<void>(roles(call));
      for (const int b : call.buffers) {
        if (b < 0) continue;
        require(is_scratch(call, b) ||
                    (buffer(b).first_use <= chain.first && buffer(b).last_use >= chain.last - 1),
                call, "has buffer '", buffer(b).name, "', which is not live all along");
      }
    }
  }

  /// end < begin - gap for every tile that an arena is made for: a multiple of 8.
  static bool before(int64_t end_fixed, int64_t end_slope, int64_t begin_fixed, int64_t begin_slope,
                     int64_t gap) {
    const auto holds = [&](int64_t tile) {
      return end_fixed + end_slope * tile + gap <= begin_fixed + begin_slope * tile;
    };
    return holds(8) && (begin_slope >= end_slope || holds(kMostTile));
  }

  /// Buffers that are live at the same call keep kSlackBytes between them: kernels may write so far
  /// behind what they store.
  void check_overlap() const {
    // A chain's own scratch is not used where its calls use theirs.
    const auto of_chain = [&](int index) {
      return std::ranges::any_of(p_.chains, [&](const Chain& chain) {
        return buffer(index).is_scratch && chain.call.buffers.back() == index;
      });
    };
    for (size_t i = 0; i < p_.buffers.size(); ++i)
      for (size_t j = i + 1; j < p_.buffers.size(); ++j) {
        const Buffer &a = p_.buffers[i], &b = p_.buffers[j];
        if (a.last_use < b.first_use || b.last_use < a.first_use) continue;
        if (a.is_scratch && b.is_scratch &&
            (of_chain(static_cast<int>(i)) || of_chain(static_cast<int>(j))))
          continue;
        const auto apart = [](const Buffer& x, const Buffer& y) {
          return before(x.offset_fixed + fixed(x), x.offset_per_sample + slope(x), y.offset_fixed,
                        y.offset_per_sample, kSlackBytes);
        };
        qloom_assert(apart(a, b) || apart(b, a), "program '", p_.model, "': buffers '", a.name,
                     "' and '", b.name, "' are live together and lie less than ", kSlackBytes,
                     " bytes apart");
      }
  }

  const Program& p_;
  std::vector<int> writes_left_;  ///< per buffer; 0: it may be read
};

}  // namespace

std::vector<Port> Program::all_inputs() const {
  std::vector<Port> all = inputs;
  for (const Kept& k : kept) all.push_back(k.before);
  return all;
}

std::vector<Port> Program::all_outputs() const {
  std::vector<Port> all = outputs;
  for (const Kept& k : kept) all.push_back(k.after);
  return all;
}

int64_t samples_that_fit(const Program& program, int64_t cache_bytes, int64_t most) {
  const int64_t per_sample = std::max<int64_t>(1, program.arena_bytes_per_sample);
  const int64_t fit = std::min(most, cache_bytes / 2 / per_sample);
  return fit >= 8 ? fit / 8 * 8 : std::max<int64_t>(fit, 1);
}

int64_t samples_per_tile(const Program& program, int64_t cache_bytes) {
  int64_t most = 256;  // longer tiles amortise nothing more and split worse
  for (const Chain& chain : program.chains) most = std::max(most, chain.tile);
  return samples_that_fit(program, cache_bytes, most);
}

void Program::verify() const { Verifier(*this).run(); }

std::string Program::to_text() const {
  std::ostringstream out;
  out << "program " << model << (whole_batch ? " (whole batch)" : "") << "\n";
  out << "arena " << arena_bytes_fixed << " + " << arena_bytes_per_sample
      << " bytes per sample, constants " << constants.size() << " bytes\n";
  const auto port = [&](const char* what, const Port& p) {
    out << what << " " << p.name << ": " << p.type << " in %" << p.buffer
        << (p.check_finite ? ", checked to be finite" : "") << "\n";
  };
  for (const Port& p : inputs) port("input", p);
  for (const Kept& k : kept) port("kept", k.before);
  for (size_t i = 0; i < buffers.size(); ++i) {
    const Buffer& b = buffers[i];
    out << "%" << i << " " << b.name << ": " << b.bytes_per_sample
        << (b.is_scratch ? " bytes of scratch" : " bytes per sample") << " at " << b.offset_fixed
        << " + " << b.offset_per_sample << " per sample, live " << b.first_use << ".."
        << b.last_use;
    if (b.writers > 1) out << ", written in " << b.writers << " parts";
    out << "\n";
  }
  for (size_t i = 0; i < calls.size(); ++i) {
    const Call& c = calls[i];
    out << std::setw(3) << i << " " << c.node << ": " << c.kernel << "(";
    for (size_t k = 0; k < c.buffers.size(); ++k) {
      if (k > 0) out << ", ";
      if (c.buffers[k] < 0)
        out << "constants[" << c.constants_offset << " + " << c.constants_bytes << "]";
      else
        out << "%" << c.buffers[k];
    }
    out << ")";
    if (c.reference >= 0)
      out << " reference " << references[static_cast<size_t>(c.reference)].attributes;
    else
      out << " " << c.symbol;
    if (c.macs > 0) out << ", " << c.macs << " MACs";
    if (c.predicted_ns > 0) out << ", " << c.predicted_ns << " ns";
    out << "\n";
  }
  for (const Loop& l : loops) {
    out << "loop over calls " << l.first << " to " << l.last << ", " << l.steps << " steps:";
    for (const Loop::Sequence& s : l.sequences)
      out << (s.collected ? " collects %"
              : s.view    ? " views %"
                          : " reads %")
          << s.step << (s.collected ? " in %" : " of %") << s.whole
          << (s.reverse ? " backwards" : "");
    for (const Loop::State& s : l.states) {
      out << " state %" << s.before << (s.exchange ? " with %" : " from %") << s.after;
      if (s.initial >= 0) out << " begins with %" << s.initial;
    }
    out << "\n";
  }
  for (const Chain& c : chains) {
    out << "chain of calls " << c.first << " to " << c.last - 1 << ": " << c.call.symbol
        << ", tiles of " << c.tile << " samples, buffers";
    for (const int b : c.call.buffers)
      if (b >= 0) out << " %" << b;
    out << "\n";
  }
  for (const Port& p : outputs) port("output", p);
  for (const Kept& k : kept) port("keeps", k.after);
  for (const std::string& text : certificates) out << "certificate " << text << "\n";
  for (const std::string& text : notes) out << "note " << text << "\n";
  return std::move(out).str();
}

}  // namespace qloom::runtime
