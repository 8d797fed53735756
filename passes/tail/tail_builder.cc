#include "passes/tail/tail_builder.h"

#include <algorithm>
#include <cstring>

#include "graph/support/error.h"

namespace qloom::passes {
namespace {

using kernels::TailOp;
using kernels::TailStep;
using kernels::TailTable;

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

/// One element where all have the same bits.
template <class T>
std::vector<T> collapsed(std::vector<T> values) {
  const bool same = std::all_of(values.begin(), values.end(), [&](const T& v) {
    return std::memcmp(&v, &values.front(), sizeof(T)) == 0;
  });
  if (same) values.resize(1);
  return values;
}

}  // namespace

int TailBuilder::step(TailOp op, int a, int b, int c, int index) {
  for (size_t i = 0; i < tail_.steps.size(); ++i) {
    const TailStep& s = tail_.steps[i];
    if (s.op == op && s.a == a && s.b == b && s.c == c && s.index == index)
      return static_cast<int>(i);
  }
  tail_.steps.push_back({.op = op, .a = a, .b = b, .c = c, .index = index});
  return static_cast<int>(tail_.steps.size()) - 1;
}

int TailBuilder::table(TailTable table) {
  const size_t size = table.is_f32 ? table.f32.size() : table.i32.size();
  table.per_channel = size != static_cast<size_t>(table.rows);
  qloom_assert(!table.per_channel || size == static_cast<size_t>(table.rows * channels_),
               "a tail table has ", size, " entries for ", table.rows, " rows × ", channels_,
               " channels");
  for (size_t i = 0; i < tail_.tables.size(); ++i) {
    const TailTable& t = tail_.tables[i];
    if (t.is_f32 == table.is_f32 && t.rows == table.rows && t.per_channel == table.per_channel &&
        same_bits(t.f32, table.f32) && same_bits(t.i32, table.i32))
      return static_cast<int>(i);
  }
  tail_.tables.push_back(std::move(table));
  return static_cast<int>(tail_.tables.size()) - 1;
}

int TailBuilder::constant(std::vector<float> per_channel) {
  TailTable t;
  t.is_f32 = true;
  t.f32 = collapsed(std::move(per_channel));
  return step(TailOp::constant, -1, -1, -1, table(std::move(t)));
}

int TailBuilder::constant(std::vector<int32_t> per_channel) {
  TailTable t;
  t.i32 = collapsed(std::move(per_channel));
  return step(TailOp::constant, -1, -1, -1, table(std::move(t)));
}

int TailBuilder::count_ge(int a, int rows, std::vector<int32_t> thresholds) {
  TailTable t;
  t.rows = rows;
  t.i32 = std::move(thresholds);
  return step(TailOp::count_ge, a, -1, -1, table(std::move(t)));
}

void TailBuilder::prune() {
  std::vector<bool> needed(tail_.steps.size(), false);
  for (const auto& output : tail_.outputs) needed[static_cast<size_t>(output.step)] = true;
  for (size_t i = tail_.steps.size(); i-- > 0;)
    if (needed[i])
      for (int ref : {tail_.steps[i].a, tail_.steps[i].b, tail_.steps[i].c})
        if (ref >= 0) needed[static_cast<size_t>(ref)] = true;
  std::vector<int> moved(tail_.steps.size(), -1), table_moved(tail_.tables.size(), -1);
  std::vector<TailStep> steps;
  std::vector<TailTable> tables;
  for (size_t i = 0; i < tail_.steps.size(); ++i) {
    if (!needed[i]) continue;
    TailStep s = tail_.steps[i];
    for (int* ref : {&s.a, &s.b, &s.c})
      if (*ref >= 0) *ref = moved[static_cast<size_t>(*ref)];
    if (s.op == TailOp::constant || s.op == TailOp::count_ge) {
      int& table = table_moved[static_cast<size_t>(s.index)];
      if (table < 0) {
        table = static_cast<int>(tables.size());
        tables.push_back(std::move(tail_.tables[static_cast<size_t>(s.index)]));
      }
      s.index = table;
    }
    moved[i] = static_cast<int>(steps.size());
    steps.push_back(s);
  }
  for (auto& output : tail_.outputs) output.step = moved[static_cast<size_t>(output.step)];
  tail_.steps = std::move(steps);
  tail_.tables = std::move(tables);
}

}  // namespace qloom::passes
