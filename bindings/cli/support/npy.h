// bindings/cli/support/npy.h: NumPy's array files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/tensor.h"

namespace qloom::cli {

/// An array of an .npy file, as float32. Boolean, integer and float dtypes of either byte order are
/// converted; Fortran order is refused. Throws UserError naming `file`, what was expected and
/// found.
[[nodiscard]] Tensor parse_npy(std::span<const uint8_t> bytes, std::string_view file);
/// The bytes of an .npy file (format 1.0, little-endian float32, C order).
[[nodiscard]] std::vector<uint8_t> format_npy(const Tensor& f32);

/// Arrays by name: one without a name for .npy, the members of an .npz without their suffix.
using NamedArrays = std::vector<std::pair<std::string, Tensor>>;
/// By content, not by suffix. Throws UserError naming the file.
[[nodiscard]] NamedArrays read_arrays(const std::string& path);
/// .npz where the path says so, else .npy of the only array. Throws UserError.
void write_arrays(const std::string& path, const NamedArrays& arrays);

/// The arrays of `file` for a model's inputs, in their order: by name, or the only array for the
/// only input. Throws UserError naming the input without an array, or the arrays without an input.
[[nodiscard]] std::vector<Tensor> arrays_for_inputs(const NamedArrays& arrays,
                                                    std::span<const std::string> inputs,
                                                    std::string_view file);
/// "'a', 'b'"; arrays without a name are called so.
[[nodiscard]] std::string names_of(const NamedArrays& arrays);

}  // namespace qloom::cli
