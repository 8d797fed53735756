#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bindings/import/hdf5_types.h"

namespace qloom::keras {

/// A value attached to a group or dataset; its bytes stay in the file.
struct Hdf5Attribute {
  std::string name;
  Hdf5Type type;
  std::vector<int64_t> extents;
  uint64_t at = 0;
  uint64_t length = 0;
};

/// A group or a dataset. `path` is for messages.
struct Hdf5Object {
  std::string path;
  std::map<std::string, Hdf5Attribute, std::less<>> attributes;
  // Group: address of its B-tree and heap.
  bool is_group = false;
  uint64_t tree = 0, heap = 0;
  // Dataset: contiguous or inline data. `unreadable` says why there is none.
  bool is_dataset = false;
  Hdf5Type type;
  std::vector<int64_t> extents;
  uint64_t data_at = 0, data_length = 0;
  std::string unreadable;

  [[nodiscard]] const Hdf5Attribute* attribute(std::string_view name) const;
};

/// Reader of the HDF5 structures that Keras and h5py write by default: superblock 0, object headers
/// of version 1, groups as symbol tables, contiguous data. Everything else (newer structures,
/// chunks, compression) is refused by name. Safe on hostile files: each address is checked against
/// the file, each tree node is visited once, and no more is decoded than the file is long.
///
/// Source: HDF5 File Format Specification 1.1 (The HDF Group).
class Hdf5File {
 public:
  /// `file` names the file in messages. Throws UserError when this is no HDF5 file, is truncated,
  /// or has another superblock.
  Hdf5File(std::string bytes, std::string file);

  [[nodiscard]] static bool is_hdf5(std::string_view bytes);
  [[nodiscard]] const std::string& file() const { return bytes_.file(); }
  [[nodiscard]] Hdf5Object root();
  /// Follows a path ("conv1/conv1/kernel:0") from a group; none when a part of it does not exist.
  [[nodiscard]] std::optional<Hdf5Object> find(const Hdf5Object& group, std::string_view path);
  /// Names in a group, sorted (HDF5 keeps no other order).
  [[nodiscard]] std::vector<std::string> children(const Hdf5Object& group);
  /// A text attribute; none when absent. Throws when it is no single text.
  [[nodiscard]] std::optional<std::string> text(const Hdf5Object& object, std::string_view name);
  /// A list of texts; none when absent. Keras splits long lists into `name0`, `name1`, … and writes
  /// an empty list as float64 of length 0.
  [[nodiscard]] std::optional<std::vector<std::string>> texts(const Hdf5Object& object,
                                                              std::string_view name);
  /// The data of a dataset of numbers, as float32. Throws UserError naming path and type.
  [[nodiscard]] std::vector<float> read_float32(const Hdf5Object& dataset);

 private:
  using Entries = std::map<std::string, uint64_t, std::less<>>;
  struct HeapObject {
    uint64_t at = 0, length = 0;
  };
  struct HeaderMessage;

  Hdf5Object read_object(uint64_t address, std::string path);
  std::vector<HeaderMessage> read_header(uint64_t address, const std::string& path);
  void read_layout(const HeaderMessage& message, Hdf5Object& object);
  Hdf5Attribute read_attribute(const HeaderMessage& message, const std::string& path);
  const Entries& entries(const Hdf5Object& group);
  std::string heap_text(uint64_t element_at, const std::string& owner);
  std::vector<std::string> attribute_texts(const Hdf5Object& object,
                                           const Hdf5Attribute& attribute);
  void spend(uint64_t length, const std::string& owner);

  Hdf5Bytes bytes_;
  std::map<uint64_t, Entries> groups_;                                  // by address of the B-tree
  std::map<uint64_t, std::unordered_map<uint64_t, HeapObject>> heaps_;  // global heaps by address
  uint64_t decoded_ = 0;
};

}  // namespace qloom::keras
