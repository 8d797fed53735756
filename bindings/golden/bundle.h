// bindings/golden/bundle.h: bundles of reference results, NAME.json with its tensors in NAME.bin.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "graph/tensor.h"

namespace qloom::golden {

using Json = nlohmann::ordered_json;

/// A bundle: cases in JSON; a tensor in it is {"dtype", "shape", "offset"} and lies in NAME.bin,
/// little endian, row-major. Everything else is plain data.
class Bundle {
 public:
  /// Reads NAME.json (the path given) and NAME.bin beside it, if there is one. Throws UserError
  /// naming file and what is wrong.
  explicit Bundle(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Folder of the file, with a trailing slash; "" for the working folder.
  [[nodiscard]] const std::string& folder() const { return folder_; }
  [[nodiscard]] const Json& document() const { return document_; }
  /// The cases: member "cases", or the document itself where it is a list.
  [[nodiscard]] const Json& cases() const;

  /// True when the JSON value describes a tensor.
  [[nodiscard]] static bool is_tensor(const Json& value);
  /// The tensor as float32 (f64 and integers converted), float64, or int64 (i32, i64, u8). Throws
  /// UserError when the description does not fit the file.
  [[nodiscard]] Tensor f32(const Json& tensor) const;
  [[nodiscard]] Tensor f64(const Json& tensor) const;
  [[nodiscard]] Tensor i64(const Json& tensor) const;

 private:
  template <class T>
  [[nodiscard]] Tensor read(const Json& tensor) const;
  std::string path_, folder_;
  Json document_;
  std::vector<uint8_t> data_;
};

}  // namespace qloom::golden
