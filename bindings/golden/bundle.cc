#include "bindings/golden/bundle.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "graph/support/error.h"

namespace qloom::golden {
namespace {

std::vector<uint8_t> read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  qloom_check(in.good(), path.string(), ": cannot be read");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

template <class Stored, class T>
std::vector<T> convert(const uint8_t* bytes, int64_t count) {
  std::vector<T> out(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    Stored value;
    std::memcpy(&value, bytes + i * static_cast<int64_t>(sizeof value), sizeof value);
    out[static_cast<size_t>(i)] = static_cast<T>(value);
  }
  return out;
}

}  // namespace

Bundle::Bundle(const std::string& path) : path_(path) {
  const std::filesystem::path file(path);
  folder_ = file.parent_path().empty() ? "" : file.parent_path().string() + "/";
  const std::vector<uint8_t> text = read_file(file);
  try {
    document_ = Json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& error) {
    throw UserError(join_text(path, ": is no bundle: ", error.what()));
  }
  std::filesystem::path binary = file;
  binary.replace_extension(".bin");
  if (std::filesystem::exists(binary)) data_ = read_file(binary);
}

const Json& Bundle::cases() const {
  if (document_.is_array()) return document_;
  qloom_check(document_.is_object() && document_.contains("cases") && document_["cases"].is_array(),
              path_, ": is no bundle: it has no list `cases`");
  return document_["cases"];
}

bool Bundle::is_tensor(const Json& value) {
  return value.is_object() && value.size() == 3 && value.contains("dtype") &&
         value.contains("shape") && value.contains("offset");
}

template <class T>
Tensor Bundle::read(const Json& tensor) const {
  qloom_check(is_tensor(tensor), path_, ": expected a tensor, found ", tensor.dump().substr(0, 80));
  Extents extents = tensor["shape"].get<Extents>();
  const auto dtype = tensor["dtype"].get<std::string>();
  const auto offset = tensor["offset"].get<int64_t>();
  const int64_t count = element_count(extents);
  const int64_t size = dtype == "u8" ? 1 : dtype == "f32" || dtype == "i32" ? 4 : 8;
  qloom_check(offset >= 0 && count >= 0 && count <= static_cast<int64_t>(data_.size()) / size &&
                  offset <= static_cast<int64_t>(data_.size()) - count * size,
              path_, ": tensor of ", count, " × ", dtype, " at byte ", offset, " lies outside the ",
              data_.size(), " bytes of data");
  const uint8_t* at = data_.data() + offset;
  std::vector<T> values;
  if (dtype == "f32") {
    values = convert<float, T>(at, count);
  } else if (dtype == "f64") {
    values = convert<double, T>(at, count);
  } else if (dtype == "i32") {
    values = convert<int32_t, T>(at, count);
  } else if (dtype == "i64") {
    values = convert<int64_t, T>(at, count);
  } else if (dtype == "u8") {
    values = convert<uint8_t, T>(at, count);
  } else {
    throw UserError(join_text(path_, ": unknown dtype '", dtype, "'"));
  }
  return Tensor(std::move(extents), std::move(values));
}

Tensor Bundle::f32(const Json& tensor) const { return read<float>(tensor); }
Tensor Bundle::f64(const Json& tensor) const { return read<double>(tensor); }
Tensor Bundle::i64(const Json& tensor) const { return read<int64_t>(tensor); }

}  // namespace qloom::golden
