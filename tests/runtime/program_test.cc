#include "runtime/program.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "graph/support/error.h"
#include "tests/runtime/small_program.h"

namespace qloom::runtime {
namespace {

using kernels::Storage;

std::string complaint(const std::function<void(Program&)>& change) {
  Program program = small_program();
  change(program);
  try {
    program.verify();
  } catch (const InternalError& error) {
    return error.what();
  }
  return "nothing thrown";
}

TEST(Program, AGoodOneIsAccepted) { EXPECT_NO_THROW(small_program().verify()); }

TEST(Program, EachRuleIsChecked) {
  struct Case {
    const char* text;
    std::function<void(Program&)> change;
  };
  const Case cases[] = {
      {"reads buffer 'scaled' before it is written",
       [](Program& p) { std::swap(p.calls[0].buffers[0], p.calls[0].buffers[3]); }},
      {"'scaled' (test_scale) uses buffer 'mixed' in call 0, planned for 1 to 2",
       [](Program& p) { p.calls[0].buffers[3] = 3; }},
      {"uses buffer 9 of 5", [](Program& p) { p.calls[1].buffers[0] = 9; }},
      {"names its constants twice", [](Program& p) { p.calls[1].buffers[0] = -1; }},
      {"has no place for its constants", [](Program& p) { p.calls[1].buffers[1] = 2; }},
      {"has constants at 64 + 99999 of 84", [](Program& p) { p.calls[0].constants_bytes = 99999; }},
      {"no multiple of 64", [](Program& p) { p.calls[0].constants_offset = 8; }},
      {"needs either a symbol or a reference", [](Program& p) { p.calls[0].symbol.clear(); }},
      {"has reference 0 of 0", [](Program& p) { p.calls[0].reference = 0; }},
      {"has buffer 'scratch' where",
       [](Program& p) { std::swap(p.calls[1].buffers[2], p.calls[1].buffers[3]); }},
      {"'x' and 'y' are live together", [](Program& p) { p.buffers[1].offset_fixed = 0; }},
      {"'x' and 'scaled' are live together",
       [](Program& p) {
         p.buffers[2].offset_fixed = 0;
         p.buffers[2].offset_per_sample = 0;
       }},
      {"is not aligned", [](Program& p) { p.buffers[1].offset_per_sample += 4; }},
      {"is not aligned", [](Program& p) { p.buffers[1].offset_fixed += 8; }},
      {"ends outside of the arena", [](Program& p) { p.arena_bytes_per_sample = 72; }},
      {"ends outside of the arena",
       [](Program& p) { p.buffers[4].bytes_per_sample = int64_t{1} << 30; }},
      {"input 'x' has buffer 7 of 5", [](Program& p) { p.inputs[0].buffer = 7; }},
      {"input 'x' of 24 bytes per sample has buffer 'x' of 20",
       [](Program& p) { p.inputs[0].shape[1] = 6; }},
      {"shares its buffer", [](Program& p) { p.inputs[1].buffer = 0; }},
      {"output 'mixed' is never written", [](Program& p) { p.calls.pop_back(); }},
      {"is live until call 0 only",
       [](Program& p) { p.buffers[3].first_use = p.buffers[3].last_use = 0; }},
      {"is live from", [](Program& p) { p.buffers[3].last_use = 0; }},
      {"arena of", [](Program& p) { p.arena_bytes_fixed = -1; }},
  };
  for (const Case& c : cases) {
    const std::string text = complaint(c.change);
    if (std::string(c.text) == "is live until call 0 only") {
      // The call that writes it is outside of its life too, and comes first.
      EXPECT_NE(text.find("planned for 0 to 0"), std::string::npos) << text;
      continue;
    }
    EXPECT_NE(text.find(c.text), std::string::npos) << "expected '" << c.text << "' in: " << text;
  }
}

TEST(Program, OutputsLiveToTheEnd) {
  const std::string text = complaint([](Program& p) {
    p.outputs.push_back(p.inputs[0]);  // x's buffer may be used again after call 0
  });
  EXPECT_NE(text.find("is live until call 0 only"), std::string::npos) << text;
}

/// The first call twice, each for a part of what the second reads.
Program program_of_parts() {
  Program p = small_program();
  p.calls.insert(p.calls.begin(), p.calls[0]);
  p.buffers[0].last_use = p.buffers[1].last_use = 1;
  p.buffers[2].last_use = p.buffers[3].first_use = 2;
  p.buffers[3].last_use = 2;
  p.buffers[4].first_use = p.buffers[4].last_use = 2;
  p.buffers[2].writers = 2;
  return p;
}

TEST(Program, PartsOfABufferAreAllWrittenBeforeItIsRead) {
  const Program good = program_of_parts();
  EXPECT_NO_THROW(good.verify());
  EXPECT_NE(good.to_text().find("live 0..2, written in 2 parts"), std::string::npos);
  EXPECT_EQ(deserialize(serialize(good)).buffers[2].writers, 2);
  const auto refused = [](const char* text, const std::function<void(Program&)>& change) {
    Program program = program_of_parts();
    change(program);
    try {
      program.verify();
      ADD_FAILURE() << "nothing thrown, expected '" << text << "'";
    } catch (const InternalError& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  refused("writes buffer 'scaled', which is written already",
          [](Program& p) { p.buffers[2].writers = 1; });
  refused("reads buffer 'scaled' before it is written",
          [](Program& p) { p.buffers[2].writers = 3; });
  refused("buffer 'scaled' has 0 writers", [](Program& p) { p.buffers[2].writers = 0; });
  refused("output 'mixed' is never written, or not all of it",
          [](Program& p) { p.buffers[3].writers = 2; });
  refused("input 'x' shares its buffer", [](Program& p) { p.buffers[0].writers = 2; });
}

TEST(Program, ListsItsCalls) {
  const std::string text = small_program().to_text();
  for (const char* part :
       {"program small", "input x: [N, 5] float32 in %0, checked to be finite",
        "%4 scratch: 40 bytes of scratch", "0 scaled: test_scale(%0, %1, constants[64 + 20], %2)",
        "output mixed", "certificate mixed: not certified", "note made by hand"})
    EXPECT_NE(text.find(part), std::string::npos) << "expected '" << part << "' in:\n" << text;
}

/// A program with something in every field.
Program rich_program() {
  Program p = small_program();
  kernels::ReferenceSpec spec;
  spec.kernel = "reference_dense";
  spec.attributes = Attributes{{"none", AttributeValue()},
                               {"flag", true},
                               {"count", int64_t{-7}},
                               {"real", -0.1},
                               {"infinite", std::numeric_limits<double>::infinity()},
                               {"text", "it's {quoted}, \\ \n"},
                               {"list", AttributeValue::Integers{1, -2}},
                               {"empty", AttributeValue::Reals{}},
                               {"reals", AttributeValue::Reals{0.5, 1e-300}},
                               {"nested", Attributes{{"bits", 4}, {"alpha", "auto"}}}};
  TensorType x{{Dim::batch(), 5}, Numeric::fixed(4, 3, true, true), Scale::constant(0.37)};
  TensorType w{{5, 3},
               Numeric::power_of_two(-4, 3, true, true, 2),
               Scale::constant(Tensor({1, 3}, std::vector<double>{0.5, 0.25, 3}))};
  TensorType y{{Dim::batch(), 3}, Numeric::integers(-3, 300, 2), Scale::dynamic(ValueId{12})};
  spec.operands = {x, w};
  spec.results = {y};
  spec.operand_storages = {Storage::bytes(7), Storage::f32()};
  spec.outputs = {{0, Storage::f32()}};
  spec.constants = {{1, Tensor({5, 3}, std::vector<int64_t>(15, -2))}};
  spec.options = Attributes{{"division", "reciprocal"}};
  p.references = {spec, spec};
  p.references[1].operands[0].numeric = Numeric::binary(2);
  p.references[1].constants[0].second = Tensor::filled({5, 3}, 0.1f);
  p.whole_batch = true;
  return p;
}

TEST(Serialize, EveryFieldComesBack) {
  const Program program = rich_program();
  const std::vector<uint8_t> bytes = serialize(program);
  const Program back = deserialize(bytes);
  EXPECT_EQ(serialize(back), bytes);
  EXPECT_EQ(back.to_text(), program.to_text());
  EXPECT_TRUE(back.whole_batch);
  EXPECT_EQ(back.constants, program.constants);
  EXPECT_EQ(back.calls[0].layers, program.calls[0].layers);
  EXPECT_EQ(back.calls[0].predicted_ns, 1.5);
  EXPECT_EQ(back.calls[0].macs, 5);
  EXPECT_TRUE(back.inputs[0].check_finite);
  EXPECT_FALSE(back.inputs[1].check_finite);
  ASSERT_EQ(back.references.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const kernels::ReferenceSpec &a = program.references[i], &b = back.references[i];
    EXPECT_EQ(a.kernel, b.kernel);
    EXPECT_EQ(a.attributes, b.attributes);
    EXPECT_EQ(a.operands, b.operands);
    EXPECT_EQ(a.results, b.results);
    EXPECT_EQ(a.operand_storages, b.operand_storages);
    EXPECT_EQ(a.outputs, b.outputs);
    EXPECT_EQ(a.options, b.options);
    ASSERT_EQ(b.constants.size(), 1u);
    EXPECT_EQ(b.constants[0].first, 1);
    EXPECT_TRUE(a.constants[0].second.same_bits(b.constants[0].second));
  }
}

TEST(Serialize, EveryTruncationIsRefused) {
  const std::vector<uint8_t> bytes = serialize(rich_program());
  for (size_t n = 0; n < bytes.size(); ++n)
    ASSERT_THROW((void)deserialize(std::span(bytes).first(n)), InternalError) << n << " bytes";
  std::vector<uint8_t> longer = bytes;
  longer.push_back(0);
  EXPECT_THROW((void)deserialize(longer), InternalError);
}

TEST(Serialize, DamageIsRefusedOrHarmless) {
  const std::vector<uint8_t> bytes = serialize(rich_program());
  int refused = 0;
  for (size_t at = 0; at < bytes.size(); ++at)
    for (const uint8_t flip : {0x01, 0x10, 0x80, 0xff}) {
      std::vector<uint8_t> damaged = bytes;
      damaged[at] ^= flip;
      try {
        (void)deserialize(damaged).to_text();
      } catch (const InternalError&) {
        ++refused;
      }
    }
  EXPECT_GT(refused, static_cast<int>(bytes.size()) / 2);
}

TEST(Serialize, OtherVersionsAreRefused) {
  std::vector<uint8_t> bytes = serialize(small_program());
  bytes[4] = static_cast<uint8_t>(kProgramVersion + 1);
  try {
    (void)deserialize(bytes);
    FAIL() << "accepted";
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what())
                  .find(join_text("has version ", kProgramVersion + 1, ", this library reads ",
                                  kProgramVersion + 0)),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace qloom::runtime
