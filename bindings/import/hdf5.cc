#include "bindings/import/hdf5.h"

#include <set>

#include "graph/support/error.h"

namespace qloom::keras {
namespace {

constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
constexpr uint64_t kUndefined = ~uint64_t{0};
constexpr uint64_t kSuperblockSize = 96;
constexpr std::string_view kAdvice =
    "; re-save it with h5py's default settings (no libver, no chunks, no compression)";

enum MessageType : uint64_t {
  kDataspace = 0x1,
  kLinkInfo = 0x2,
  kDatatype = 0x3,
  kLink = 0x6,
  kExternal = 0x7,
  kLayout = 0x8,
  kFilter = 0xB,
  kAttribute = 0xC,
  kContinuation = 0x10,
  kSymbolTable = 0x11,
};

uint64_t padded(uint64_t length) { return (length + 7) & ~uint64_t{7}; }

}  // namespace

struct Hdf5File::HeaderMessage {
  uint64_t type = 0;
  uint64_t at = 0;
  uint64_t length = 0;
  bool shared = false;  // the content is elsewhere (a committed datatype)
};

const Hdf5Attribute* Hdf5Object::attribute(std::string_view name) const {
  const auto found = attributes.find(name);
  return found == attributes.end() ? nullptr : &found->second;
}

bool Hdf5File::is_hdf5(std::string_view bytes) { return bytes.starts_with(kSignature); }

Hdf5File::Hdf5File(std::string bytes, std::string file)
    : bytes_(std::move(bytes), std::move(file)) {
  if (bytes_.size() < kSignature.size() ||
      bytes_.slice(0, kSignature.size(), "signature") != kSignature) {
    bytes_.fail("it does not begin with the HDF5 signature");
  }
  if (bytes_.size() < kSuperblockSize) bytes_.fail("truncated: shorter than a superblock");
  if (const uint64_t version = bytes_.number(8, 1, "superblock"); version != 0) {
    bytes_.fail("superblock version " + std::to_string(version) + ", expected 0" +
                std::string(kAdvice));
  }
  const uint64_t offset_size = bytes_.number(13, 1, "superblock");
  const uint64_t length_size = bytes_.number(14, 1, "superblock");
  if (offset_size != 8 || length_size != 8) {
    bytes_.fail("size of offsets " + std::to_string(offset_size) + " and of lengths " +
                std::to_string(length_size) + ", expected 8 and 8");
  }
  if (bytes_.number(24, 8, "superblock") != 0)
    bytes_.fail("superblock with a base address other than 0");
  if (const uint64_t end = bytes_.number(40, 8, "superblock"); end > bytes_.size()) {
    bytes_.fail("truncated: the superblock says " + std::to_string(end) + " bytes, the file has " +
                std::to_string(bytes_.size()));
  }
}

// Each byte of a file belongs to one object, so decoding much more than all of them means that
// objects overlap: without this, a small file could ask for any amount of memory. A text counts
// twice, with its heap and by itself, and once more if it is asked for again: hence the factor.
void Hdf5File::spend(uint64_t length, const std::string& owner) {
  decoded_ += length;
  if (decoded_ > 4 * bytes_.size())
    bytes_.fail(owner + ": objects overlap: more data than the file has bytes");
}

Hdf5Object Hdf5File::root() { return read_object(bytes_.number(64, 8, "superblock"), ""); }

std::vector<Hdf5File::HeaderMessage> Hdf5File::read_header(uint64_t address,
                                                           const std::string& path) {
  const std::string what = "object header of '/" + path + "'";
  if (bytes_.slice(address, 4, what) == "OHDR") {
    bytes_.fail(what + " has version 2" + std::string(kAdvice));
  }
  if (const uint64_t version = bytes_.number(address, 1, what); version != 1) {
    bytes_.fail(what + " has version " + std::to_string(version) + ", expected 1");
  }
  const uint64_t count = bytes_.number(address + 2, 2, what);
  struct Block {
    uint64_t at, length;
  };
  std::vector<Block> blocks{{address + 16, bytes_.number(address + 8, 4, what)}};
  std::set<uint64_t> seen;
  std::vector<HeaderMessage> messages;
  for (size_t b = 0; b < blocks.size() && messages.size() < count; ++b) {
    const Block block = blocks[b];
    if (!seen.insert(block.at).second) bytes_.fail(what + " continues in itself");
    (void)bytes_.slice(block.at, block.length, what);
    uint64_t at = block.at;
    while (at + 8 <= block.at + block.length && messages.size() < count) {
      HeaderMessage m;
      m.type = bytes_.number(at, 2, what);
      m.length = bytes_.number(at + 2, 2, what);
      m.shared = (bytes_.number(at + 4, 1, what) & 2) != 0;
      m.at = at + 8;
      if (m.length > block.at + block.length - m.at)
        bytes_.fail(what + ": a message is longer than its block");
      if (m.type == kContinuation) {
        if (m.length < 16) bytes_.fail(what + ": a continuation message is too short");
        blocks.push_back({bytes_.number(m.at, 8, what), bytes_.number(m.at + 8, 8, what)});
      }
      messages.push_back(m);
      at = m.at + m.length;
    }
  }
  return messages;
}

void Hdf5File::read_layout(const HeaderMessage& message, Hdf5Object& object) {
  const std::string what = "layout of '/" + object.path + "'";
  const uint64_t version = bytes_.number(message.at, 1, what);
  if (version != 3) {
    object.unreadable =
        "is stored in a layout of version " + std::to_string(version) + ", expected 3";
    return;
  }
  const uint64_t layout_class = bytes_.number(message.at + 1, 1, what);
  if (layout_class == 0) {
    object.data_length = bytes_.number(message.at + 2, 2, what);
    object.data_at = message.at + 4;
    if (object.data_length + 4 > message.length)
      bytes_.fail(what + ": inline data is longer than its message");
  } else if (layout_class == 1) {
    object.data_at = bytes_.number(message.at + 2, 8, what);
    object.data_length = bytes_.number(message.at + 10, 8, what);
  } else {
    object.unreadable = "is stored in chunks";
  }
}

Hdf5Attribute Hdf5File::read_attribute(const HeaderMessage& message, const std::string& path) {
  const std::string what = "an attribute of '/" + path + "'";
  const uint64_t version = bytes_.number(message.at, 1, what);
  if (version < 1 || version > 3) bytes_.fail(what + " has version " + std::to_string(version));
  if (version > 1 && bytes_.number(message.at + 1, 1, what) != 0) {
    bytes_.fail(what + " has a shared datatype" + std::string(kAdvice));
  }
  const auto padding = [&](uint64_t length) { return version == 1 ? padded(length) : length; };
  const uint64_t name_size = bytes_.number(message.at + 2, 2, what);
  const uint64_t type_size = bytes_.number(message.at + 4, 2, what);
  const uint64_t space_size = bytes_.number(message.at + 6, 2, what);
  const uint64_t name_at = message.at + (version == 3 ? 9 : 8);
  const uint64_t type_at = name_at + padding(name_size);
  const uint64_t space_at = type_at + padding(type_size);
  Hdf5Attribute a;
  a.at = space_at + padding(space_size);
  if (a.at > message.at + message.length) bytes_.fail(what + " is longer than its message");
  a.name = bytes_.text(name_at, name_at + name_size, what);
  a.type = parse_hdf5_type(bytes_, type_at, type_size);
  a.extents = parse_hdf5_space(bytes_, space_at, space_size);
  a.length = hdf5_byte_count(bytes_, a.extents, a.type.size,
                             "attribute " + a.name + " of '/" + path + "'");
  if (a.length > message.at + message.length - a.at) {
    bytes_.fail("attribute " + a.name + " of '/" + path + "' is longer than its message");
  }
  return a;
}

Hdf5Object Hdf5File::read_object(uint64_t address, std::string path) {
  Hdf5Object object;
  object.path = std::move(path);
  bool has_type = false;
  bool has_space = false;
  bool has_layout = false;
  for (const HeaderMessage& m : read_header(address, object.path)) {
    const std::string what = "'/" + object.path + "'";
    const bool needed =
        m.type == kDataspace || m.type == kDatatype || m.type == kLayout || m.type == kAttribute;
    if (m.shared && needed)
      bytes_.fail(what + " refers to a shared message" + std::string(kAdvice));
    switch (m.type) {
      case kDataspace:
        object.extents = parse_hdf5_space(bytes_, m.at, m.length);
        has_space = true;
        break;
      case kDatatype:
        object.type = parse_hdf5_type(bytes_, m.at, m.length);
        has_type = true;
        break;
      case kLayout:
        read_layout(m, object);
        has_layout = true;
        break;
      case kAttribute: {
        Hdf5Attribute a = read_attribute(m, object.path);
        std::string name = a.name;
        object.attributes.emplace(std::move(name), std::move(a));
        break;
      }
      case kSymbolTable:
        object.is_group = true;
        object.tree = bytes_.number(m.at, 8, what);
        object.heap = bytes_.number(m.at + 8, 8, what);
        break;
      case kLinkInfo:
      case kLink:
        bytes_.fail(what + " is a group of the newer kind (links)" + std::string(kAdvice));
      case kFilter:
        object.unreadable = "is compressed or filtered";
        break;
      case kExternal:
        object.unreadable = "keeps its data in another file";
        break;
      default:
        break;  // fill value, modification time and the like
    }
  }
  object.is_dataset = has_type && has_space && has_layout;
  return object;
}

const Hdf5File::Entries& Hdf5File::entries(const Hdf5Object& group) {
  const auto known = groups_.find(group.tree);
  if (known != groups_.end()) return known->second;
  const std::string what = "group '/" + group.path + "'";
  if (!bytes_.has_signature(group.heap, "HEAP"))
    bytes_.fail(what + ": no local heap at its address");
  const uint64_t names_size = bytes_.number(group.heap + 8, 8, what + ": local heap");
  const uint64_t names_at = bytes_.number(group.heap + 24, 8, what + ": local heap");
  (void)bytes_.slice(names_at, names_size, what + ": local heap");

  Entries found;
  struct Node {
    uint64_t address;
    uint64_t level;  // expected; kUndefined for the root
  };
  // A child one level below its parent, each node once: neither cycles nor repetition.
  std::vector<Node> nodes{{group.tree, kUndefined}};
  std::set<uint64_t> seen;
  const auto read_symbols = [&](uint64_t address) {
    const std::string node = what + ": symbol node";
    if (!bytes_.has_signature(address, "SNOD")) bytes_.fail(node + ": not at its address");
    const uint64_t count = bytes_.number(address + 6, 2, node);
    (void)bytes_.slice(address + 8, count * 40,
                       node + " with " + std::to_string(count) + " symbols");
    for (uint64_t k = 0; k < count; ++k) {
      const uint64_t entry = address + 8 + 40 * k;
      const uint64_t name = bytes_.number(entry, 8, node);
      if (name >= names_size)
        bytes_.fail(node + ": the name of symbol " + std::to_string(k) + " lies outside the heap");
      std::string key(bytes_.text(names_at + name, names_at + names_size, node));
      spend(key.size(), node);
      found.emplace(std::move(key), bytes_.number(entry + 8, 8, node));
    }
  };
  while (!nodes.empty()) {
    const Node node = nodes.back();
    nodes.pop_back();
    const std::string tree = what + ": B-tree";
    if (!seen.insert(node.address).second) bytes_.fail(tree + ": a node is reached twice");
    if (!bytes_.has_signature(node.address, "TREE")) bytes_.fail(tree + ": no node at its address");
    const uint64_t level = bytes_.number(node.address + 5, 1, tree);
    if (node.level != kUndefined && level != node.level) {
      bytes_.fail(tree + ": a node of level " + std::to_string(level) + " where level " +
                  std::to_string(node.level) + " is expected (a cycle?)");
    }
    const uint64_t used = bytes_.number(node.address + 6, 2, tree);
    for (uint64_t k = 0; k < used; ++k) {
      const uint64_t child = bytes_.number(node.address + 32 + 16 * k, 8, tree);
      if (level > 0) {
        nodes.push_back({child, level - 1});
      } else if (seen.insert(child).second) {
        read_symbols(child);
      } else {
        bytes_.fail(tree + ": a symbol node is reached twice");
      }
    }
  }
  return groups_.emplace(group.tree, std::move(found)).first->second;
}

std::optional<Hdf5Object> Hdf5File::find(const Hdf5Object& group, std::string_view path) {
  Hdf5Object object = group;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (name.empty()) continue;
    if (!object.is_group) return std::nullopt;
    const Entries& here = entries(object);
    const auto entry = here.find(name);
    if (entry == here.end()) return std::nullopt;
    std::string full =
        object.path.empty() ? std::string(name) : object.path + "/" + std::string(name);
    if (entry->second == kUndefined) bytes_.fail("'/" + full + "' is a soft link");
    object = read_object(entry->second, std::move(full));
  }
  return object;
}

std::vector<std::string> Hdf5File::children(const Hdf5Object& group) {
  std::vector<std::string> names;
  if (group.is_group) {
    for (const auto& [name, address] : entries(group)) names.push_back(name);
  }
  return names;
}

std::string Hdf5File::heap_text(uint64_t element_at, const std::string& owner) {
  const uint64_t length = bytes_.number(element_at, 4, owner);
  const uint64_t address = bytes_.number(element_at + 4, 8, owner);
  const uint64_t index = bytes_.number(element_at + 12, 4, owner);
  if (length == 0 || address == 0 || address == kUndefined) return {};
  const std::string what = owner + ": global heap";
  auto heap = heaps_.find(address);
  if (heap == heaps_.end()) {
    if (!bytes_.has_signature(address, "GCOL"))
      bytes_.fail(what + ": no collection at its address");
    const uint64_t size = bytes_.number(address + 8, 8, what);
    (void)bytes_.slice(address, size, what);
    spend(size, what);
    std::unordered_map<uint64_t, HeapObject> objects;
    // Objects need 16 bytes each; index 0 is the free rest.
    for (uint64_t at = address + 16; at + 16 <= address + size;) {
      const uint64_t number = bytes_.number(at, 2, what);
      const uint64_t object_size = bytes_.number(at + 8, 8, what);
      if (number == 0) break;
      if (object_size > address + size - at - 16)
        bytes_.fail(what + ": an object is longer than its collection");
      objects.emplace(number, HeapObject{at + 16, object_size});
      at += 16 + padded(object_size);
    }
    heap = heaps_.emplace(address, std::move(objects)).first;
  }
  const auto object = heap->second.find(index);
  if (object == heap->second.end()) bytes_.fail(what + " has no object " + std::to_string(index));
  if (length > object->second.length) bytes_.fail(what + ": a text is longer than its object");
  spend(length, owner);
  const std::string_view text = bytes_.slice(object->second.at, length, what);
  return std::string(text.substr(0, text.find('\0')));
}

std::vector<std::string> Hdf5File::attribute_texts(const Hdf5Object& object,
                                                   const Hdf5Attribute& attribute) {
  const std::string owner = "attribute " + attribute.name + " of '/" + object.path + "'";
  std::vector<std::string> out;
  if (attribute.length == 0) return out;
  if (!attribute.type.is_text())
    bytes_.fail(owner + ": expected text, found " + attribute.type.description);
  const uint64_t size = attribute.type.size;
  for (uint64_t k = 0; k < attribute.length / size; ++k) {
    const uint64_t at = attribute.at + k * size;
    if (attribute.type.kind == Hdf5Type::Kind::variable_text) {
      out.push_back(heap_text(at, owner));
    } else {
      out.emplace_back(bytes_.text(at, at + size, owner));
    }
  }
  return out;
}

std::optional<std::string> Hdf5File::text(const Hdf5Object& object, std::string_view name) {
  const Hdf5Attribute* a = object.attribute(name);
  if (a == nullptr) return std::nullopt;
  std::vector<std::string> all = attribute_texts(object, *a);
  if (all.size() != 1) {
    bytes_.fail("attribute " + a->name + " of '/" + object.path + "': expected one text, found " +
                std::to_string(all.size()));
  }
  return std::move(all[0]);
}

std::optional<std::vector<std::string>> Hdf5File::texts(const Hdf5Object& object,
                                                        std::string_view name) {
  if (const Hdf5Attribute* a = object.attribute(name)) return attribute_texts(object, *a);
  std::vector<std::string> all;
  for (size_t part = 0;; ++part) {
    const Hdf5Attribute* a = object.attribute(std::string(name) + std::to_string(part));
    if (a == nullptr) {
      if (part == 0) return std::nullopt;
      return all;
    }
    for (std::string& s : attribute_texts(object, *a)) all.push_back(std::move(s));
  }
}

std::vector<float> Hdf5File::read_float32(const Hdf5Object& dataset) {
  const std::string owner = "dataset '" + dataset.path + "'";
  if (!dataset.is_dataset) bytes_.fail(owner + ": this is no dataset");
  if (!dataset.unreadable.empty())
    bytes_.fail(owner + " " + dataset.unreadable + std::string(kAdvice));
  if (!dataset.type.is_number()) {
    bytes_.fail(owner + ": expected numbers, found type " + dataset.type.description);
  }
  const uint64_t length = hdf5_byte_count(bytes_, dataset.extents, dataset.type.size, owner);
  if (length == 0) return {};
  if (dataset.data_at == kUndefined) bytes_.fail(owner + ": its values were never written");
  if (length > dataset.data_length) bytes_.fail(owner + ": its data is shorter than its shape");
  spend(length, owner);
  return convert_to_float32(bytes_.slice(dataset.data_at, length, owner), dataset.type);
}

}  // namespace qloom::keras
