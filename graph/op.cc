#include "graph/op.h"

#include "graph/ops_table.h"

namespace qloom {

const OpDef* find_op(std::string_view name) {
  for (const OpDef* op : ops::all_ops())
    if (op->name == name) return op;
  return nullptr;
}

}  // namespace qloom
