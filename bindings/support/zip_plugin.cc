// libqloom_zip.so: the one file that knows libzip.
#include <zip.h>

#include <memory>

#include "bindings/support/zip.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

constexpr int64_t kMaxMembers = 1000;
constexpr uint64_t kMaxMemberBytes = uint64_t{1} << 32;

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
using Archive = std::unique_ptr<zip_t, CloseArchive>;
struct CloseMember {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

class Libzip final : public ZipLibrary {
 public:
  std::vector<ZipMember> read(std::span<const uint8_t> bytes, const std::string& file) override {
    const Archive archive = open(bytes, file);
    const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
    qloom_check(count <= kMaxMembers, file, ": ", count, " members, at most ", kMaxMembers,
                " are read");
    std::vector<ZipMember> out;
    for (zip_int64_t i = 0; i < count; ++i)
      out.push_back(read_member(archive.get(), i, file, kMaxMemberBytes));
    return out;
  }

  std::optional<std::vector<uint8_t>> find(std::span<const uint8_t> bytes, const std::string& file,
                                           const std::string& name, uint64_t max_bytes) override {
    const Archive archive = open(bytes, file);
    const zip_int64_t index = zip_name_locate(archive.get(), name.c_str(), 0);
    if (index < 0) return std::nullopt;
    return read_member(archive.get(), index, file, max_bytes).bytes;
  }

  std::vector<uint8_t> write(std::span<const ZipMember> members, const std::string& file) override {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* target = zip_source_buffer_create(nullptr, 0, 0, &error);
    qloom_check(target != nullptr, file, ": ", zip_error_strerror(&error));
    zip_source_keep(target);
    zip_t* archive = zip_open_from_source(target, ZIP_TRUNCATE, &error);
    qloom_check(archive != nullptr, file, ": ", zip_error_strerror(&error));
    for (const ZipMember& member : members) {
      zip_source_t* source =
          zip_source_buffer(archive, member.bytes.data(), member.bytes.size(), 0);
      const zip_int64_t index =
          zip_file_add(archive, member.name.c_str(), source, ZIP_FL_ENC_UTF_8);
      qloom_check(index >= 0, file, ": ", member.name, ": ", zip_strerror(archive));
      zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
    }
    qloom_check(zip_close(archive) == 0, file, ": ", zip_strerror(archive));
    zip_source_open(target);
    zip_source_seek(target, 0, SEEK_END);
    std::vector<uint8_t> out(static_cast<size_t>(zip_source_tell(target)));
    zip_source_seek(target, 0, SEEK_SET);
    const zip_int64_t got = zip_source_read(target, out.data(), out.size());
    zip_source_close(target);
    zip_source_free(target);
    qloom_check(got == static_cast<zip_int64_t>(out.size()), file,
                ": the archive could not be made");
    return out;
  }

 private:
  static Archive open(std::span<const uint8_t> bytes, const std::string& file) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
    zip_t* opened = source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error);
    if (opened == nullptr) {
      const std::string why = zip_error_strerror(&error);
      zip_error_fini(&error);
      if (source != nullptr) zip_source_free(source);
      throw UserError(join_text(file, ": is no ZIP archive: ", why));
    }
    return Archive(opened);
  }

  static ZipMember read_member(zip_t* archive, zip_int64_t index, const std::string& file,
                               uint64_t max_bytes) {
    zip_stat_t stat;
    qloom_check(zip_stat_index(archive, static_cast<zip_uint64_t>(index), 0, &stat) == 0, file,
                ": member ", index, ": ", zip_strerror(archive));
    qloom_check(stat.size <= max_bytes, file, ": ", stat.name, ": its size is ", stat.size,
                " bytes, at most ", max_bytes, " are read");
    const std::unique_ptr<zip_file_t, CloseMember> member(
        zip_fopen_index(archive, static_cast<zip_uint64_t>(index), 0));
    qloom_check(member != nullptr, file, ": ", stat.name, ": ", zip_strerror(archive));
    ZipMember out{stat.name, {}};
    // Grows with what really comes: the announced size may lie.
    std::vector<uint8_t> block(size_t{1} << 16);
    while (true) {
      const zip_int64_t got = zip_fread(member.get(), block.data(), block.size());
      qloom_check(got >= 0, file, ": ", stat.name, ": ", zip_file_strerror(member.get()));
      if (got == 0) break;
      out.bytes.insert(out.bytes.end(), block.begin(), block.begin() + got);
      qloom_check(out.bytes.size() <= stat.size, file, ": ", stat.name,
                  ": its size is larger than the ", stat.size, " bytes announced");
    }
    qloom_check(out.bytes.size() == stat.size, file, ": ", stat.name, ": its size is ",
                out.bytes.size(), " bytes, not ", stat.size, " as announced");
    return out;
  }
};

}  // namespace
}  // namespace qloom

extern "C" qloom::ZipLibrary* qloom_zip_library() {
  static qloom::Libzip library;
  return &library;
}
