// passes/program/emit_chain.h: the function of a chain (runtime::Chain): calls and loops of a
// program, tile by tile of samples.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "jit/emitter.h"
#include "runtime/program.h"

namespace qloom::passes {

/// What the function is made of, as data of its own: the program may go.
struct ChainPlan {
  /// Where a buffer of the program lies.
  struct Place {
    int argument = -1;   ///< of the chain's own buffers; -1: in its scratch
    int64_t offset = 0;  ///< in scratch
    int64_t bytes_per_sample = 0;
    bool is_scratch = false;  ///< of a call: not per sample
  };
  /// A function that does several calls, for whole tiles of samples.
  struct Form {
    std::string symbol;
    int64_t tile = 1;
    int64_t constants_offset = 0;
    /// Samples left over behind whole tiles from which on one more tile, of which the other samples
    /// have been computed already, is faster than other ways.
    int64_t worth = 1;
  };
  /// Calls [first, last) that other functions do: the first as many tiles as there are, the next
  /// what is left, and so on; what is left by the last goes through the calls.
  struct Fused {
    int first = 0, last = 0;
    std::vector<Form> forms;
    int input = -1, output = -1;  ///< buffers
    int64_t scratch = 0;          ///< offset, of all forms
  };
  int64_t tile = 1;
  int first = 0, last = 0;
  std::vector<Fused> fused;
  std::vector<runtime::Call> calls;  ///< from `first` on
  std::vector<runtime::Loop> loops;  ///< among them
  std::map<int, Place> places;       ///< by buffer
  int constants = -1, scratch = -1;  ///< arguments
};

void emit_chain(const ChainPlan& plan, jit::Emitter& e);

}  // namespace qloom::passes
