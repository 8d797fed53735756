#include "bindings/cli/support/npy.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "bindings/support/zip.h"
#include "graph/support/error.h"
#include "graph/support/plugin.h"

namespace qloom::cli {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

template <class T>
T load(const uint8_t* at, bool swap) {
  uint8_t bytes[sizeof(T)];
  std::memcpy(bytes, at, sizeof(T));
  if (swap) std::reverse(std::begin(bytes), std::end(bytes));
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

template <class T>
std::vector<float> convert(std::span<const uint8_t> data, int64_t count, bool swap) {
  std::vector<float> out(static_cast<size_t>(count));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<float>(load<T>(data.data() + i * sizeof(T), swap));
  return out;
}

struct DTypeReader {
  std::string_view code;
  size_t bytes;
  std::vector<float> (*convert)(std::span<const uint8_t>, int64_t, bool);
};
constexpr DTypeReader kReaders[] = {
    {"f4", 4, convert<float>},    {"f8", 8, convert<double>},  {"b1", 1, convert<uint8_t>},
    {"i1", 1, convert<int8_t>},   {"i2", 2, convert<int16_t>}, {"i4", 4, convert<int32_t>},
    {"i8", 8, convert<int64_t>},  {"u1", 1, convert<uint8_t>}, {"u2", 2, convert<uint16_t>},
    {"u4", 4, convert<uint32_t>}, {"u8", 8, convert<uint64_t>}};

/// Text after `'key':` in the header's dictionary.
std::string_view value_of(std::string_view header, std::string_view key, std::string_view file) {
  const size_t at = header.find(key);
  qloom_check(at != std::string_view::npos, file, ": the .npy header has no ", key);
  std::string_view rest = header.substr(at + key.size());
  const size_t begin = rest.find_first_not_of(" :");
  return begin == std::string_view::npos ? std::string_view() : rest.substr(begin);
}

/// A part of a header that may hold anything, for a message of one line.
std::string printable(std::string_view text) {
  constexpr size_t kMost = 60;
  std::string out(text.substr(0, kMost));
  for (char& c : out)
    if (std::isprint(static_cast<unsigned char>(c)) == 0) c = '?';
  return text.size() > kMost ? out + "…" : out;
}

Extents parse_shape(std::string_view text, std::string_view file) {
  const size_t open = text.find('('), close = text.find(')');
  qloom_check(open != std::string_view::npos && close != std::string_view::npos && open < close,
              file, ": the .npy header's shape cannot be read");
  Extents out;
  const char* at = text.data() + open + 1;
  const char* end = text.data() + close;
  while (at < end) {
    if (std::isdigit(static_cast<unsigned char>(*at)) == 0) {
      qloom_check(*at == ' ' || *at == ',' || *at == 'L', file, ": the .npy header's shape ",
                  printable(text.substr(open, close + 1 - open)), " is no list of extents");
      ++at;
      continue;
    }
    int64_t extent = 0;
    const auto result = std::from_chars(at, end, extent);
    qloom_check(result.ec == std::errc(), file, ": an extent in the .npy header is too large");
    out.push_back(extent);
    at = result.ptr;
  }
  return out;
}

std::vector<uint8_t> read_file(const std::string& path) {
  qloom_check(!std::filesystem::is_directory(path), path,
              ": this is a folder, expected an .npy or .npz file");
  std::ifstream in(path, std::ios::binary);
  qloom_check(in.good(), path, ": cannot be read");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_file(const std::string& path, std::span<const uint8_t> bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.flush();
  qloom_check(out.good(), path, ": cannot be written");
}

bool starts_with(std::span<const uint8_t> bytes, std::string_view prefix) {
  return bytes.size() >= prefix.size() &&
         std::memcmp(bytes.data(), prefix.data(), prefix.size()) == 0;
}

}  // namespace

Tensor parse_npy(std::span<const uint8_t> bytes, std::string_view file) {
  qloom_check(starts_with(bytes, kMagic), file,
              ": is no .npy file (it does not begin with \\x93NUMPY)");
  qloom_check(bytes.size() >= 12, file, ": truncated .npy header");
  const size_t major = bytes[6];
  qloom_check(major >= 1 && major <= 3, file, ": .npy format version ", major,
              " is unknown; 1 to 3 can be read");
  const size_t start = major == 1 ? 10 : 12;
  const size_t length = major == 1 ? load<uint16_t>(bytes.data() + 8, false)
                                   : load<uint32_t>(bytes.data() + 8, false);
  qloom_check(length <= bytes.size() - start, file, ": truncated .npy header");
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + start, length);
  qloom_check(!value_of(header, "'fortran_order'", file).starts_with("True"), file,
              ": the array is in Fortran order; save it with numpy.ascontiguousarray");
  const std::string_view descr = value_of(header, "'descr'", file);
  qloom_check(descr.size() > 4 && descr[0] == '\'', file,
              ": structured .npy dtypes cannot be read");
  const char order = descr[1];
  const std::string_view code = descr.substr(2, 2);
  const auto* reader =
      std::find_if(std::begin(kReaders), std::end(kReaders),
                   [&](const DTypeReader& r) { return r.code == code && descr[4] == '\''; });
  qloom_check(reader != std::end(kReaders), file, ": dtype ",
              printable(descr.substr(0, descr.find(','))),
              " cannot be read; expected float32, float64, an integer or boolean type");
  Extents extents = parse_shape(value_of(header, "'shape'", file), file);
  const int64_t count = element_count(extents);
  const std::span<const uint8_t> data = bytes.subspan(start + length);
  qloom_check(count <= static_cast<int64_t>(data.size() / reader->bytes), file,
              ": truncated: ", count, " elements announced, ", data.size() / reader->bytes,
              " found");
  return Tensor(std::move(extents), reader->convert(data, count, order == '>'));
}

std::vector<uint8_t> format_npy(const Tensor& f32) {
  std::string shape;
  for (const int64_t extent : f32.extents()) shape += std::to_string(extent) + ",";
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');  // the data begins at a multiple of 64 bytes
  header += '\n';
  std::vector<uint8_t> out(kMagic.begin(), kMagic.end());
  out.insert(out.end(), {1, 0, static_cast<uint8_t>(header.size() & 255),
                         static_cast<uint8_t>(header.size() >> 8)});
  out.insert(out.end(), header.begin(), header.end());
  const auto values = f32.f32();
  const auto* data = reinterpret_cast<const uint8_t*>(values.data());
  out.insert(out.end(), data, data + values.size_bytes());
  return out;
}

NamedArrays read_arrays(const std::string& path) {
  const std::vector<uint8_t> bytes = read_file(path);
  if (!starts_with(bytes, "PK")) return {{"", parse_npy(bytes, path)}};
  NamedArrays out;
  for (ZipMember& member : zip_library().read(bytes, path)) {
    if (member.name.ends_with(".npy")) member.name.resize(member.name.size() - 4);
    out.emplace_back(member.name, parse_npy(member.bytes, path + ": " + member.name));
  }
  return out;
}

void write_arrays(const std::string& path, const NamedArrays& arrays) {
  if (!path.ends_with(".npz")) {
    qloom_check(arrays.size() == 1, path, ": an .npy file holds one array, the model has ",
                arrays.size(), " outputs; name the file .npz");
    write_file(path, format_npy(arrays[0].second));
    return;
  }
  std::vector<ZipMember> members;
  for (const auto& [name, array] : arrays) members.push_back({name + ".npy", format_npy(array)});
  write_file(path, zip_library().write(members, path));
}

std::string names_of(const NamedArrays& arrays) {
  std::string names;
  for (const auto& [name, array] : arrays)
    names += (names.empty() ? "" : ", ") + (name.empty() ? "one without a name" : "'" + name + "'");
  return names.empty() ? "none" : names;
}

std::vector<Tensor> arrays_for_inputs(const NamedArrays& arrays,
                                      std::span<const std::string> inputs, std::string_view file) {
  if (inputs.size() == 1 && arrays.size() == 1) return {arrays[0].second};
  std::vector<Tensor> out;
  for (const std::string& input : inputs) {
    const auto found = std::ranges::find(arrays, input, &NamedArrays::value_type::first);
    qloom_check(found != arrays.end(), file, ": has no array for input '", input,
                "'; its arrays: ", names_of(arrays));
    out.push_back(found->second);
  }
  NamedArrays odd;
  for (const auto& array : arrays)
    if (std::ranges::find(inputs, array.first) == inputs.end()) odd.push_back(array);
  std::string expected;
  for (const std::string& input : inputs)
    expected += (expected.empty() ? "'" : ", '") + input + "'";
  qloom_check(odd.empty(), file, ": these arrays belong to no input: ", names_of(odd),
              "; the inputs: ", expected.empty() ? "none" : expected);
  return out;
}

}  // namespace qloom::cli
