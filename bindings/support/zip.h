// bindings/support/zip.h: ZIP archives, through a plug-in: libzip brings a TLS library along that
// nobody should load to run a model from an .h5 file on an .npy file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qloom {

struct ZipMember {
  std::string name;
  std::vector<uint8_t> bytes;
};

/// Safe on hostile archives: nothing is written to disk, no more is unpacked than a member
/// announces and the caller allows, checksums are verified.
class ZipLibrary {
 public:
  virtual ~ZipLibrary() = default;
  /// All members in order. A member larger than 4 GiB, or more than 1,000 members, is refused.
  /// Throws UserError naming `file` and the member.
  [[nodiscard]] virtual std::vector<ZipMember> read(std::span<const uint8_t> archive,
                                                    const std::string& file) = 0;
  /// The member of that name, or none. Throws as above, also when it has more than `max_bytes`.
  [[nodiscard]] virtual std::optional<std::vector<uint8_t>> find(std::span<const uint8_t> archive,
                                                                 const std::string& file,
                                                                 const std::string& name,
                                                                 uint64_t max_bytes) = 0;
  /// An archive of the members, stored without compression as numpy.savez does. Throws UserError.
  [[nodiscard]] virtual std::vector<uint8_t> write(std::span<const ZipMember> members,
                                                   const std::string& file) = 0;
};

/// Opens the plug-in at the first call. Throws UserError when it is missing.
[[nodiscard]] ZipLibrary& zip_library();

}  // namespace qloom
