#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qloom::keras {

/// Bytes of an HDF5 file with checked access: every read names what it is for, and throws a
/// UserError when it reaches beyond the end. All numbers are little endian.
class Hdf5Bytes {
 public:
  Hdf5Bytes(std::string bytes, std::string file)
      : bytes_(std::move(bytes)), file_(std::move(file)) {}

  [[nodiscard]] uint64_t size() const { return bytes_.size(); }
  [[nodiscard]] const std::string& file() const { return file_; }
  /// Little-endian unsigned integer of 1..8 bytes.
  [[nodiscard]] uint64_t number(uint64_t at, int width, std::string_view what) const;
  [[nodiscard]] std::string_view slice(uint64_t at, uint64_t length, std::string_view what) const;
  [[nodiscard]] bool has_signature(uint64_t at, std::string_view four_letters) const;
  /// Text up to NUL, but not beyond `end`.
  [[nodiscard]] std::string_view text(uint64_t at, uint64_t end, std::string_view what) const;
  /// Throws UserError "FILE: cannot read this HDF5 file: WHAT".
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::string bytes_;
  std::string file_;
};

/// The element type of a dataset or attribute, as far as Keras uses types.
struct Hdf5Type {
  enum class Kind : uint8_t { integer, real, fixed_text, variable_text, other };
  Kind kind = Kind::other;
  uint64_t size = 0;  ///< bytes of an element in the file
  bool is_signed = false;
  bool big_endian = false;
  std::string
      description;  ///< for messages: "float32", "text", "compound (complex numbers or records)"

  [[nodiscard]] bool is_number() const { return kind == Kind::integer || kind == Kind::real; }
  [[nodiscard]] bool is_text() const {
    return kind == Kind::fixed_text || kind == Kind::variable_text;
  }
};

/// Datatype message at `at` of `length` bytes (versions 1 to 3).
[[nodiscard]] Hdf5Type parse_hdf5_type(const Hdf5Bytes& bytes, uint64_t at, uint64_t length);

/// Dataspace message (versions 1 and 2): the extents; scalar = empty, null = {0}.
[[nodiscard]] std::vector<int64_t> parse_hdf5_space(const Hdf5Bytes& bytes, uint64_t at,
                                                    uint64_t length);

/// Product of extents and element size. Throws when it is larger than the file: nothing stored
/// without compression can be.
[[nodiscard]] uint64_t hdf5_byte_count(const Hdf5Bytes& bytes, const std::vector<int64_t>& extents,
                                       uint64_t element_size, const std::string& owner);

/// Elements → float32: floats of 2, 4, 8 bytes and integers of 1, 2, 4, 8 bytes, either byte order.
/// Values are rounded to nearest; those beyond the range of float32 become infinite.
[[nodiscard]] std::vector<float> convert_to_float32(std::string_view elements,
                                                    const Hdf5Type& type);

}  // namespace qloom::keras
