#include "bindings/import/read.h"

#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "bindings/import/assign_weights.h"
#include "bindings/import/hdf5.h"
#include "bindings/import/json.h"
#include "bindings/import/read_architecture.h"
#include "bindings/import/read_weights.h"
#include "bindings/import/read_weights_v3.h"
#include "bindings/support/zip.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

namespace fs = std::filesystem;
using namespace keras;  // NOLINT(google-build-using-namespace): the parts this file joins

enum class FileKind : uint8_t { hdf5, json, zip, empty, other };

// Larger than any quantised network; files are read as a whole.
constexpr uint64_t kMaxFileBytes = uint64_t{4} << 30;
// Texts of a .keras archive; the weights may unpack to this many times the archive.
constexpr uint64_t kMaxTextBytes = uint64_t{32} << 20;
constexpr uint64_t kMaxExpansion = 20;
constexpr std::string_view kSavedModelAdvice =
    ", which does not keep the quantizers; load it where it was made and save with "
    "model.save(\"NAME.h5\") or model.save(\"NAME.keras\")";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string read_file(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    if (fs::exists(fs::path(path) / "saved_model.pb", error)) {
      throw UserError(path + ": this is a TensorFlow SavedModel folder" +
                      std::string(kSavedModelAdvice));
    }
    throw UserError(join_text(path, ": this is a folder, expected a Keras model file"));
  }
  const uint64_t size = fs::file_size(path, error);
  if (error) throw UserError(join_text(path, ": cannot open the file: ", error.message()));
  if (size > kMaxFileBytes) {
    throw UserError(
        join_text(path, ": the file has ", size, " bytes, at most ", kMaxFileBytes, " are read"));
  }
  std::ifstream in(path, std::ios::binary);
  std::string bytes(size, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  if (!in) throw UserError(join_text(path, ": cannot read the file"));
  return bytes;
}

FileKind kind_of(std::string_view bytes) {
  if (bytes.empty()) return FileKind::empty;
  if (Hdf5File::is_hdf5(bytes)) return FileKind::hdf5;
  if (bytes.starts_with("PK\x03\x04")) return FileKind::zip;
  if (bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  const bool is_json =
      first != std::string_view::npos &&
      std::string_view("{[\"-0123456789").find(bytes[first]) != std::string_view::npos;
  return is_json ? FileKind::json : FileKind::other;
}

[[noreturn]] void refuse(FileKind kind, const std::string& path) {
  if (kind == FileKind::empty) throw UserError(join_text(path, ": the file is empty"));
  const std::string name = fs::path(path).filename().string();
  if (name == "saved_model.pb" || name == "keras_metadata.pb" || name == "fingerprint.pb") {
    throw UserError(path + ": this is a part of a TensorFlow SavedModel" +
                    std::string(kSavedModelAdvice));
  }
  if (name == "checkpoint" || name.ends_with(".index")) {
    throw UserError(path +
                    ": this is a part of a TensorFlow checkpoint, which cannot be read; save with "
                    "model.save_weights(\"NAME_weights.h5\")");
  }
  throw UserError(join_text(
      path,
      ": this is no Keras model: neither HDF5 (its signature is damaged or missing) nor JSON"));
}

void add_weights(Hdf5File& file, KerasModel& model) {
  if (is_v3_layout(file)) {
    model.weight_groups = read_v3_weights(file, model);
    model.has_weights = true;
    return;
  }
  const Hdf5Object group = find_weights(file);
  if (const auto version = file.text(group, "keras_version")) {
    check_keras_version(*version, file.file());
    if (model.keras_version.empty()) model.keras_version = *version;
  }
  model.weight_groups = read_weight_groups(file, group);
  split_nested_weights(model);
  model.has_weights = true;
}

// A member of a .keras archive.
std::string read_member(const std::string& archive, const std::string& path,
                        const std::string& member, uint64_t max_bytes) {
  const auto* data = reinterpret_cast<const uint8_t*>(archive.data());
  const auto bytes = zip_library().find({data, archive.size()}, path, member, max_bytes);
  if (!bytes) {
    throw UserError(join_text(path, ": this is a ZIP archive without ", member,
                              ", expected a Keras model (config.json, metadata.json and "
                              "model.weights.h5)"));
  }
  return {bytes->begin(), bytes->end()};
}

void add_archive_weights(const std::string& archive, const std::string& path, KerasModel& model) {
  const uint64_t max_bytes = kMaxTextBytes + kMaxExpansion * archive.size();
  std::string bytes = read_member(archive, path, "model.weights.h5", max_bytes);
  const std::string name = path + ": model.weights.h5";
  if (!Hdf5File::is_hdf5(bytes)) throw UserError(name + ": this is no HDF5 file");
  Hdf5File file(std::move(bytes), name);
  add_weights(file, model);
}

KerasModel read_archive(const std::string& archive, const std::string& path,
                        const ReadOptions& options) {
  KerasModel model = read_architecture(
      parse_json(read_member(archive, path, "config.json", kMaxTextBytes), path + ": config.json"),
      path);
  const std::string name = path + ": metadata.json";
  const ConfigValue metadata =
      parse_json(read_member(archive, path, "metadata.json", kMaxTextBytes), name);
  // Versions differ in the meaning of some words (hard_sigmoid).
  model.keras_version = ConfigView(metadata, name)["keras_version"].as_text();
  if (options.weights.empty() && !options.architecture_only)
    add_archive_weights(archive, path, model);
  return model;
}

KerasModel read_full_model(Hdf5File& file, const ReadOptions& options) {
  const Hdf5Object root = file.root();
  const auto version = file.text(root, "keras_version");
  if (version) check_keras_version(*version, file.file());
  const auto config = file.text(root, "model_config");
  if (!config) {
    if (is_v3_layout(file)) {
      throw UserError(file.file() +
                      ": this file holds weights only (.weights.h5); give the architecture "
                      "(model.to_json()) as the model and this file with --weights");
    }
    throw UserError(
        join_text(file.file(),
                  ": the attribute model_config is missing: the file holds weights only; give the "
                  "architecture (model.to_json()) as the model and this file with --weights"));
  }
  KerasModel model =
      read_architecture(parse_json(*config, file.file() + ": model_config"), file.file());
  if (version) model.keras_version = *version;
  if (options.weights.empty() && !options.architecture_only) add_weights(file, model);
  return model;
}

}  // namespace

KerasModel parse_keras_architecture(std::string_view json, const std::string& source) {
  KerasModel model = read_architecture(parse_json(json, source), source);
  check_keras_version(model.keras_version, source);
  return model;
}

KerasModel read_keras_model(const std::string& path, const ReadOptions& options) {
  std::string bytes = read_file(path);
  const FileKind kind = kind_of(bytes);
  KerasModel model;
  if (kind == FileKind::hdf5) {
    Hdf5File file(std::move(bytes), path);
    model = read_full_model(file, options);
  } else if (kind == FileKind::json) {
    model = parse_keras_architecture(bytes, path);
    if (options.weights.empty() && !options.architecture_only && !options.weights_optional) {
      throw UserError(
          join_text(path,
                    ": this is an architecture without weights; give the file that holds them with "
                    "--weights (model.save_weights(\"NAME_weights.h5\"))"));
    }
  } else if (kind == FileKind::zip) {
    model = read_archive(bytes, path, options);
  } else {
    refuse(kind, path);
  }
  if (!options.weights.empty()) read_weights(options.weights, model);
  return model;
}

void read_weights(const std::string& path, KerasModel& model) {
  std::string bytes = read_file(path);
  const FileKind kind = kind_of(bytes);
  if (kind == FileKind::json)
    throw UserError(join_text(path, ": this is JSON, expected a weights file (HDF5)"));
  if (kind == FileKind::zip) {
    add_archive_weights(bytes, path, model);
  } else if (kind == FileKind::hdf5) {
    Hdf5File file(std::move(bytes), path);
    add_weights(file, model);
  } else {
    refuse(kind, path);
  }
}

}  // namespace qloom
