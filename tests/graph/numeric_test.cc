// The algebra of value sets, against sets that are listed member by member.
#include "graph/numeric.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "graph/support/error.h"

namespace qloom {
namespace {

std::vector<Numeric> small_sets() {
  std::vector<Numeric> sets{Numeric::ternary(),
                            Numeric::ternary(2),
                            Numeric::binary(),
                            Numeric::binary(-1),
                            Numeric::bit(),
                            Numeric::bit(1),
                            Numeric::power_of_two(-2, 1, true),
                            Numeric::power_of_two(-2, 1, false),
                            Numeric::power_of_two(0, 3, true, true),
                            Numeric::power_of_two(-1, 2, false, true),
                            Numeric::power_of_two(-4, 2, true, false, 2),
                            Numeric::power_of_two(0, 0, true),
                            Numeric::power_of_two(1, 1, false)};
  for (const int fraction : {-1, 0, 2}) {
    for (int bits = 1; bits <= 4; ++bits)
      for (const bool narrow : {false, true}) {
        sets.push_back(Numeric::fixed(bits, fraction, true, narrow));
        sets.push_back(Numeric::fixed(bits, fraction, false));
      }
    for (int64_t lo = -3; lo <= 3; ++lo)
      for (int64_t hi = lo; hi <= 3; hi += 2) sets.push_back(Numeric::integers(lo, hi, fraction));
  }
  return sets;
}

// Members by the definition of each kind, without the code under test beyond its parameters.
std::set<double> listed(const Numeric& n) {
  std::set<double> out;
  if (n.is_power_of_two()) {
    for (int e = n.min_exponent(); e <= n.max_exponent(); e += n.stride()) {
      out.insert(std::ldexp(1.0, e));
      if (n.is_signed()) out.insert(-std::ldexp(1.0, e));
    }
    if (n.has_zero()) out.insert(0);
    return out;
  }
  const Numeric::Grid g = n.grid().value();
  for (int64_t c = g.lo; c <= g.hi; ++c)
    if (!(n.is_binary() && c == 0)) out.insert(std::ldexp(static_cast<double>(c), -g.fraction));
  return out;
}

TEST(Numeric, ListsItsMembers) {
  for (const Numeric& n : small_sets()) {
    const std::set<double> members = listed(n);
    EXPECT_EQ(n.min(), *members.begin()) << n;
    EXPECT_EQ(n.max(), *members.rbegin()) << n;
    EXPECT_EQ(n.has_zero(), members.contains(0)) << n;
    EXPECT_EQ(n.is_signed(), *members.begin() < 0) << n;
    for (double v = -9; v <= 9; v += 1.0 / 32)
      EXPECT_EQ(n.contains(v), members.contains(v)) << n << " " << v;
    EXPECT_GE(int64_t{1} << n.bits(), static_cast<int64_t>(members.size())) << n;
    if (n.kind() != Numeric::Kind::fixed && members.size() > 2) {  // no bit too many
      EXPECT_LT(int64_t{1} << (n.bits() - 1), static_cast<int64_t>(members.size())) << n;
    }
    EXPECT_FALSE(n.contains(INFINITY));
    EXPECT_FALSE(n.contains(std::nan("")));
  }
}

TEST(Numeric, ContainsSetsExactly) {
  for (const Numeric& a : small_sets())
    for (const Numeric& b : small_sets()) {
      const std::set<double> ma = listed(a), mb = listed(b);
      EXPECT_EQ(a.contains(b), std::includes(ma.begin(), ma.end(), mb.begin(), mb.end()))
          << a << " ⊇ " << b;
    }
}

TEST(Numeric, ContainsLongIntervals) {
  const Numeric wide = Numeric::fixed(20, 4, true), finer = Numeric::fixed(30, 6, true);
  EXPECT_TRUE(finer.contains(wide));
  EXPECT_FALSE(wide.contains(finer));
  EXPECT_FALSE(Numeric::fixed(20, 6, true).contains(wide));
  EXPECT_TRUE(Numeric::float32().contains(Numeric::fixed(25, 3, true)));
  EXPECT_FALSE(Numeric::float32().contains(Numeric::fixed(26, 3, true)));
  EXPECT_TRUE(Numeric::float32().contains(Numeric::power_of_two(-100, 100, true)));
  EXPECT_FALSE(Numeric::power_of_two(-4, 30, true, true).contains(Numeric::fixed(14, 0, true)));
  EXPECT_FALSE(wide.contains(Numeric::float32()));
}

TEST(Numeric, ProductsSumsAndJoinsHoldAllAndTouchBothEnds) {
  for (const Numeric& a : small_sets())
    for (const Numeric& b : small_sets()) {
      const Numeric p = product(a, b), s = sum(a, b), j = join(a, b);
      std::set<double> products, sums;
      for (const double x : listed(a))
        for (const double y : listed(b)) {
          products.insert(x * y);
          sums.insert(x + y);
        }
      for (const double v : products) ASSERT_TRUE(p.contains(v)) << a << " · " << b << " = " << p;
      for (const double v : sums) ASSERT_TRUE(s.contains(v)) << a << " + " << b << " = " << s;
      ASSERT_TRUE(j.contains(a) && j.contains(b)) << a << " ∪ " << b << " = " << j;
      EXPECT_EQ(p.min(), *products.begin()) << a << " · " << b;
      EXPECT_EQ(p.max(), *products.rbegin()) << a << " · " << b;
      EXPECT_EQ(s.min(), *sums.begin()) << a << " + " << b;
      EXPECT_EQ(s.max(), *sums.rbegin()) << a << " + " << b;
      EXPECT_EQ(j.max(), std::max(a.max(), b.max()));
      if (!j.is_power_of_two()) {
        EXPECT_EQ(j.min(), std::min(a.min(), b.min()));
      }
    }
}

TEST(Numeric, KeepsSharpKinds) {
  EXPECT_TRUE(product(Numeric::binary(), Numeric::binary(2)).is_binary());
  EXPECT_TRUE(product(Numeric::binary(), Numeric::ternary()).is_ternary());
  EXPECT_EQ(product(Numeric::bit(), Numeric::bit(1)), Numeric::bit(1));
  EXPECT_EQ(product(Numeric::power_of_two(-2, 1, true), Numeric::power_of_two(0, 3, false)),
            Numeric::power_of_two(-2, 4, true));
  EXPECT_TRUE(join(Numeric::binary(1), Numeric::integers(0, 0, 1)).is_ternary());
  EXPECT_EQ(join(Numeric::power_of_two(-2, 1, true), Numeric::integers(0, 0, 0)),
            Numeric::power_of_two(-2, 1, true, true));
}

TEST(Numeric, LeavesTheGridWhereCodesDoNotFit) {
  const Numeric huge = Numeric::integers(-(int64_t{1} << 62), int64_t{1} << 62, 0);
  EXPECT_TRUE(sum(huge, Numeric::bit()).is_float32());
  EXPECT_TRUE(product(huge, Numeric::fixed(3, 0, true)).is_float32());
  EXPECT_EQ(product(huge, Numeric::binary()), huge);
  EXPECT_TRUE(sum(huge, Numeric::bit(1)).is_float32());
  EXPECT_TRUE(product(Numeric::float32(), Numeric::bit()).is_float32());
  EXPECT_FALSE(Numeric::power_of_two(-40, 40, true).grid());
  EXPECT_TRUE(join(Numeric::power_of_two(-40, 40, true), Numeric::bit()).is_float32());
}

TEST(Numeric, HasTheBitsOfItsCodes) {
  for (int bits = 1; bits <= 62; ++bits) {
    EXPECT_EQ(Numeric::fixed(bits, 3, true).bits(), bits);
    EXPECT_EQ(Numeric::fixed(bits, 3, false).bits(), bits);
    EXPECT_EQ(Numeric::fixed(bits, 3, true, true).bits(), bits);  // one bit: {0}
  }
  EXPECT_EQ(Numeric::integers(9, 9, 0).bits(), 4);
  EXPECT_EQ(Numeric::integers(-9, -9, 0).bits(), 5);
  EXPECT_EQ(Numeric::integers(0, 0, 0).bits(), 1);
  EXPECT_EQ(Numeric::power_of_two(-8, 7, true).bits(), 5);
  EXPECT_EQ(Numeric::power_of_two(-8, 7, true, true).bits(), 6);
  EXPECT_EQ(Numeric::float32().bits(), 32);
}

TEST(Numeric, TextParsesBack) {
  std::vector<Numeric> sets = small_sets();
  sets.push_back(Numeric::float32());
  sets.push_back(Numeric::fixed(62, -30, true));
  for (const Numeric& n : sets) EXPECT_EQ(Numeric::parse(n.to_string()), n) << n;
  EXPECT_EQ(Numeric::fixed(4, 3, true).to_string(), "fixed(4, 3, signed)");
  EXPECT_EQ(Numeric::fixed(4, 3, true, true).to_string(), "fixed(4, 3, signed, narrow)");
  EXPECT_EQ(Numeric::fixed(8, 0, false).to_string(), "fixed(8, 0, unsigned)");
  EXPECT_EQ(Numeric::integers(-3, 10, 0).to_string(), "integers(-3, 10, 0)");
  EXPECT_EQ(Numeric::power_of_two(-8, 7, true).to_string(), "power_of_two(-8, 7, signed)");
  EXPECT_EQ(Numeric::power_of_two(-8, 6, false, true, 2).to_string(),
            "power_of_two(-8, 6, unsigned, zero, stride 2)");
  EXPECT_EQ(Numeric::binary().to_string(), "binary");
  EXPECT_EQ(Numeric::ternary(2).to_string(), "ternary(2)");
}

TEST(Numeric, RefusesWithAReason) {
  const auto message = [](auto&& make) -> std::string {
    try {
      (void)make();
    } catch (const UserError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([] { return Numeric::fixed(0, 0, true); }),
            "fixed: bits is 0, expected 1 to 62");
  EXPECT_EQ(message([] { return Numeric::fixed(63, 0, true); }),
            "fixed: bits is 63, expected 1 to 62");
  EXPECT_EQ(message([] { return Numeric::integers(2, 1, 0); }),
            "integers: the interval [2, 1] is empty");
  EXPECT_EQ(message([] { return Numeric::parse("fixed(4, 3)"); }),
            "value set 'fixed(4, 3)': expected ',' at position 10");
  EXPECT_EQ(message([] { return Numeric::parse("integers(1, 2, 0) x"); }),
            "value set 'integers(1, 2, 0) x': expected the end at position 18");
  for (const char* bad :
       {"", "int4", "fixed(4, 3, maybe)", "binary(", "fixed(4, 3, signed, zero)",
        "integers(1, 99999999999999999999, 0)", "ternary(5000)", "power_of_two(3, 1, signed)"})
    EXPECT_NE(message([&] { return Numeric::parse(bad); }), "no error") << bad;
}

}  // namespace
}  // namespace qloom
