#pragma once

/// qloom for C++. A network by program (bindings/cpp/network.h):
///
///   using namespace qloom;
///   using namespace qloom::qkeras;
///   Network net("tiny");
///   Symbol x = net.add(QActivation{quantized_bits(8, 1, 1)}, net.input({8, 8, 1}, "image"));
///   x = net.add(QConv2D{.filters = 4, .kernel_size = 3, .kernel_quantizer = "ternary()"}, x);
///   net.output(net.add(QActivation{"quantized_relu(4)"}, x));
///   net.load_weights("tiny.h5");
///   const CompiledNetwork compiled = net.compile();
///   std::cout << compiled.summary() << compiled.explain();
///   const Tensor y = compiled.run(images);
///
/// A network of a file:
///
///   const qloom::LoadedModel loaded = qloom::load_model("digits.h5");
///   qloom::runtime::Executor executor(loaded.model, {.threads = 2});
///   std::vector<float> images(n * 64), classes(n * 10);
///   const std::span<const float> in[] = {images};
///   const std::span<float> out[] = {classes};
///   if (qloom::Status s = executor.run(in, out, n); !s.ok()) std::puts(s.message());

#include "bindings/cpp/compiled.h"    // graph → what runs, and what the compiler knows about it
#include "bindings/cpp/kernel_lab.h"  // kernels of one's own: register, check, time
#include "bindings/cpp/layer_functions.h"   // functions of QKeras that add several layers
#include "bindings/cpp/layers.h"            // Keras's and QKeras's layers
#include "bindings/cpp/load.h"              // file → model or graph
#include "bindings/cpp/network.h"           // networks by program
#include "bindings/cpp/quantizers.h"        // QKeras's quantizers
#include "bindings/cpp/recurrent_layers.h"  // recurrent layers and their cells
#include "bindings/cpp/stats.h"             // bit widths, operations, energy of a model: QTools
#include "bindings/import/sampled_accumulators.h"  // accumulators judged by samples
#include "bindings/report/trace.h"                 // how layers use their value sets on samples
#include "graph/builder.h"                         // graphs of plain ops by program
#include "graph/graph.h"                           // and what they are made of
#include "graph/interpret.h"                       // the reference: both evaluations
#include "graph/quantizer.h"                       // QKeras's quantizers
#include "graph/support/error.h"                   // UserError, InternalError
#include "graph/support/status.h"                  // what running answers
#include "graph/support/version.h"
#include "graph/text.h"        // readable form of a graph, and back
#include "passes/compile.h"    // graph → model
#include "runtime/executor.h"  // running it
