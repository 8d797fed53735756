#pragma once

/// qloom for C++:
///
///   const qloom::LoadedModel loaded = qloom::load_model("digits.h5");
///   qloom::runtime::Executor executor(loaded.model, {.threads = 2});
///   std::vector<float> images(n * 64), classes(n * 10);
///   const std::span<const float> in[] = {images};
///   const std::span<float> out[] = {classes};
///   if (qloom::Status s = executor.run(in, out, n); !s.ok()) std::puts(s.message());

#include "bindings/cpp/load.h"     // file → model or graph
#include "graph/builder.h"         // networks by program
#include "graph/graph.h"           // and what they are made of
#include "graph/interpret.h"       // the reference: both evaluations
#include "graph/quantizer.h"       // QKeras's quantizers
#include "graph/support/error.h"   // UserError, InternalError
#include "graph/support/status.h"  // what running answers
#include "graph/support/version.h"
#include "graph/text.h"        // readable form of a graph, and back
#include "passes/compile.h"    // graph → model
#include "runtime/executor.h"  // running it
