#include "passes/pass.h"
#include "passes/rewrite/fusible.h"

namespace qloom::passes {
namespace {

int run(Graph& graph, const PassContext&) { return fuse_chains(graph); }

}  // namespace

extern constinit const PassDef fuse_pointwise{
    .name = "fuse_pointwise",
    .doc =
        R"(Moves bias, batch normalization, activation and quantizer into the region that feeds them.
              quantize(batch_norm(region{conv(x, w)}))  →  region{quantize(batch_norm(conv(x, w)))}
              A value that others use as well stays a result of the region.
              Needs: regions.  Gives: none of these ops directly after a region, but where the node's
              reason in fusible.cc holds.)",
    .run = run};

}  // namespace qloom::passes
