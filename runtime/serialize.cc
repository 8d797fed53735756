// Byte form of a Program: little endian, each field once. What is written and what is read come
// from the same list of fields, so that neither can be forgotten.
#include <bit>
#include <cstring>
#include <type_traits>

#include "graph/support/error.h"
#include "runtime/program.h"

namespace qloom::runtime {
namespace {

static_assert(std::endian::native == std::endian::little);
constexpr uint32_t kMagic = 0x51504c51;  // "QLPQ"
constexpr int kDeepest = 16;             // nesting of attributes

class Writer {
 public:
  static constexpr bool kReads = false;
  void bytes(const void* data, size_t size) {
    const auto* from = static_cast<const uint8_t*>(data);
    out.insert(out.end(), from, from + size);
  }
  template <class... T>
  void operator()(T&... values) {
    (put(*this, values), ...);
  }
  std::vector<uint8_t> out;
};

class Reader {
 public:
  static constexpr bool kReads = true;
  explicit Reader(std::span<const uint8_t> in) : in_(in) {}
  void bytes(void* data, size_t size) {
    qloom_assert(size <= in_.size(), "serialised program ends early");
    if (size > 0) std::memcpy(data, in_.data(), size);
    in_ = in_.subspan(size);
  }
  /// A number of elements of at least `element_bytes` bytes each.
  size_t count(size_t element_bytes) {
    uint64_t n;
    bytes(&n, sizeof n);
    qloom_assert(n <= in_.size() / element_bytes, "serialised program: a list of ", n,
                 " elements is longer than what follows");
    return static_cast<size_t>(n);
  }
  [[nodiscard]] bool at_end() const { return in_.empty(); }
  template <class... T>
  void operator()(T&... values) {
    (put(*this, values), ...);
  }
  int depth = 0;

 private:
  std::span<const uint8_t> in_;
};

template <class A, class T>
  requires std::is_arithmetic_v<T> && (!std::is_same_v<T, bool>)
void put(A& a, T& v) {
  a.bytes(&v, sizeof v);
}

template <class A>
void put(A& a, bool& v) {
  uint8_t byte = v ? 1 : 0;
  a.bytes(&byte, 1);
  qloom_assert(byte <= 1, "serialised program: a truth value is ", int{byte});
  v = byte == 1;
}

template <class A, class T>
size_t put_count(A& a, const T& list, size_t element_bytes) {
  if constexpr (A::kReads) {
    return a.count(element_bytes);
  } else {
    const uint64_t n = list.size();
    a.bytes(&n, sizeof n);
    return static_cast<size_t>(n);
  }
}

template <class A>
void put(A& a, std::string& v) {
  v.resize(put_count(a, v, 1));
  a.bytes(v.data(), v.size());
}

template <class A, class T>
void put(A& a, std::vector<T>& v);
template <class A, class T, class U>
void put(A& a, std::pair<T, U>& v) {
  a(v.first, v.second);
}

/// A value that is none of the above and is written as text that parses back.
template <class A, class T>
void put_text(A& a, T& v) {
  std::string text;
  if constexpr (!A::kReads) text = v.to_string();
  a(text);
  if constexpr (A::kReads) v = T::parse(text);
}

template <class A>
void put(A& a, Numeric& v) {
  put_text(a, v);
}

template <class A>
void put(A& a, Attributes& v);

template <class A>
void put(A& a, AttributeValue& v) {
  enum Tag : uint8_t { none, boolean, integer, real, text, integers, reals, nested };
  uint8_t tag = v.is_none()       ? none
                : v.is_bool()     ? boolean
                : v.is_integer()  ? integer
                : v.is_real()     ? real
                : v.is_string()   ? text
                : v.is_integers() ? integers
                : v.is_reals()    ? reals
                                  : nested;
  a(tag);
  const auto as = [&]<class T>(T value) {
    a(value);
    if constexpr (A::kReads) v = AttributeValue(std::move(value));
  };
  switch (tag) {
    case none:
      v = AttributeValue();
      return;
    case boolean:
      return as(A::kReads ? false : v.as_bool());
    case integer:
      return as(A::kReads ? int64_t{} : v.as_integer());
    case real:
      return as(A::kReads ? double{} : v.as_real());
    case text:
      return as(A::kReads ? std::string() : v.as_string());
    case integers:
      return as(A::kReads ? AttributeValue::Integers() : v.as_integers());
    case reals:
      return as(A::kReads ? AttributeValue::Reals() : v.as_reals());
    case nested:
      return as(A::kReads ? Attributes() : v.as_attributes());
  }
  qloom_assert(false, "serialised program: attribute of kind ", int{tag});
}

template <class A>
void put(A& a, Attributes& v) {
  if constexpr (A::kReads) {
    qloom_assert(++a.depth <= kDeepest, "serialised program: attributes nested too deep");
    v = Attributes();
    for (size_t n = a.count(9); n > 0; --n) {  // name's length and the value's tag
      std::string name;
      AttributeValue value;
      a(name, value);
      qloom_assert(!v.has(name), "serialised program: attribute '", name, "' is there twice");
      v.set(name, std::move(value));
    }
    --a.depth;
  } else {
    put_count(a, v.entries(), 1);
    for (auto [name, value] : v.entries()) a(name, value);
  }
}

template <class A, class T>
void put_elements(A& a, Tensor& v, std::span<const T> (Tensor::*elements)() const,
                  Extents& extents) {
  if constexpr (A::kReads) {
    std::vector<T> values(a.count(sizeof(T)));
    a.bytes(values.data(), values.size() * sizeof(T));
    v = Tensor(std::move(extents), std::move(values));
  } else {
    const std::span<const T> values = (v.*elements)();
    put_count(a, values, 1);
    a.bytes(values.data(), values.size_bytes());
  }
}

template <class A>
void put(A& a, Tensor& v) {
  uint8_t dtype = static_cast<uint8_t>(v.dtype());
  Extents extents = v.extents();
  a(dtype, extents);
  switch (static_cast<DType>(dtype)) {
    case DType::f32:
      return put_elements<A, float>(a, v, &Tensor::f32, extents);
    case DType::f64:
      return put_elements<A, double>(a, v, &Tensor::f64, extents);
    case DType::i64:
      return put_elements<A, int64_t>(a, v, &Tensor::i64, extents);
  }
  qloom_assert(false, "serialised program: element type ", int{dtype});
}

template <class A>
void put(A& a, Scale& v) {
  enum Tag : uint8_t { none, constant, dynamic };
  uint8_t tag = v.is_none() ? none : v.is_constant() ? constant : dynamic;
  a(tag);
  qloom_assert(tag <= dynamic, "serialised program: scale of kind ", int{tag});
  if (tag == none) v = Scale();
  if (tag == constant) {
    Tensor values;
    if constexpr (!A::kReads) values = v.values();
    a(values);
    if constexpr (A::kReads) v = Scale::constant(values);
  }
  if (tag == dynamic) {
    int32_t source = 0;
    if constexpr (!A::kReads) source = v.source().index;
    a(source);
    if constexpr (A::kReads) v = Scale::dynamic(ValueId{source});
  }
}

template <class A>
void put(A& a, Dim& v) {
  int64_t extent = v.is_batch() ? -1 : v.bind(0);
  a(extent);
  qloom_assert(extent >= -1, "serialised program: extent ", extent);
  v = extent == -1 ? Dim::batch() : Dim(extent);
}

template <class A>
void put(A& a, kernels::Storage& v) {
  uint8_t kind = static_cast<uint8_t>(v.kind);
  a(kind, v.zero);
  qloom_assert(kind <= static_cast<uint8_t>(kernels::Storage::Kind::bits),
               "serialised program: storage kind ", int{kind});
  v.kind = static_cast<kernels::Storage::Kind>(kind);
}

template <class A>
void put(A& a, TensorType& v) {
  a(v.shape, v.numeric, v.scale);
}

template <class A>
void put(A& a, Buffer& v) {
  a(v.name, v.bytes_per_sample, v.offset_per_sample, v.offset_fixed, v.first_use, v.last_use,
    v.is_scratch, v.writers);
}

template <class A>
void put(A& a, Port& v) {
  a(v.name, v.shape, v.buffer, v.type, v.check_finite);
}

template <class A>
void put(A& a, Kept& v) {
  a(v.before, v.after, v.initial);
}

template <class A>
void put(A& a, Call& v) {
  a(v.node, v.layers, v.kernel, v.symbol, v.reference, v.buffers, v.constants_offset,
    v.constants_bytes, v.predicted_ns, v.macs, v.work_items, v.reads_exactly);
}

template <class A>
void put(A& a, Chain& v) {
  a(v.first, v.last, v.tile, v.call);
}

template <class A>
void put(A& a, Loop::State& v) {
  a(v.before, v.after, v.initial, v.constants_offset, v.exchange);
}

template <class A>
void put(A& a, Loop::Sequence& v) {
  a(v.whole, v.step, v.collected, v.reverse, v.view);
}

template <class A>
void put(A& a, Loop& v) {
  a(v.first, v.last, v.steps, v.states, v.sequences);
}

template <class A>
void put(A& a, kernels::ReferenceSpec& v) {
  a(v.kernel, v.attributes, v.operands, v.results, v.operand_storages, v.outputs, v.constants,
    v.options);
}

template <class A>
void put(A& a, Program& v) {
  a(v.model, v.inputs, v.outputs, v.kept, v.buffers, v.calls, v.loops, v.chains, v.references,
    v.constants, v.arena_bytes_per_sample, v.arena_bytes_fixed, v.whole_batch, v.certificates,
    v.notes);
}

template <class A, class T>
void put(A& a, std::vector<T>& v) {
  if constexpr (std::is_arithmetic_v<T>) {
    v.resize(put_count(a, v, sizeof(T)));
    a.bytes(v.data(), v.size() * sizeof(T));
  } else if constexpr (A::kReads) {
    const size_t n = a.count(1);
    v.clear();
    for (size_t i = 0; i < n; ++i) {
      T element{[] {
        if constexpr (std::is_same_v<T, Dim>)
          return Dim(0);
        else
          return T{};
      }()};
      a(element);
      v.push_back(std::move(element));
    }
  } else {
    put_count(a, v, 1);
    for (T& element : v) a(element);
  }
}

}  // namespace

std::vector<uint8_t> serialize(const Program& program) {
  Writer writer;
  uint32_t magic = kMagic, version = kProgramVersion;
  Program copy = program;  // tensors are shared; the list of fields takes references
  writer(magic, version, copy);
  return std::move(writer.out);
}

Program deserialize(std::span<const uint8_t> bytes) {
  Reader reader(bytes);
  uint32_t magic = 0, version = 0;
  reader(magic, version);
  qloom_assert(magic == kMagic, "these bytes are no serialised program");
  qloom_assert(version == kProgramVersion, "serialised program has version ", version,
               ", this library reads ", int{kProgramVersion});
  Program program;
  try {
    reader(program);
    qloom_assert(reader.at_end(), "serialised program is followed by more bytes");
    program.verify();
  } catch (const UserError& error) {  // of a value set or a tensor: here nobody's fault but ours
    qloom_assert(false, "serialised program: ", error.what());
  }
  return program;
}

}  // namespace qloom::runtime
