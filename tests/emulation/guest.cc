#include "tests/emulation/guest.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "tests/cli/process.h"
#include "tests/support/paths.h"

namespace qloom::testing {
namespace {

struct Tool {
  bool bare;
  const char *program, *package;
};
constexpr Tool kTools[] = {
    {false, "aarch64-linux-gnu-as", "binutils-aarch64-linux-gnu"},
    {false, "aarch64-linux-gnu-ld", "binutils-aarch64-linux-gnu"},
    {false, "qemu-aarch64", "qemu-user"},
    {true, "as", "binutils"},
    {true, "ld", "binutils"},
    {true, "objcopy", "binutils"},
    {true, "objdump", "binutils"},
    {true, "bochs", "bochs"},
};

bool installed(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/bin:/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');)
    if (access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  return false;
}

std::string run(const std::vector<std::string>& command) {
  const Finished f = run_command(command);
  if (f.exit_code != 0)
    throw std::runtime_error(command.front() + " returned " + std::to_string(f.exit_code) + ": " +
                             f.err + f.out.substr(0, 2000));
  return f.out;
}

void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

std::string_view as_text(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string source(const std::string& name) {
  return (source_dir() / "tests" / "emulation" / name).string();
}

constexpr int64_t kAlign = 64;
int64_t aligned(int64_t at) { return (at + kAlign - 1) / kAlign * kAlign; }

/// Where things lie in the guest: inputs in one file, each once; results and scratch behind.
struct Image {
  std::string inputs, table;
  int64_t result_bytes = 0, scratch_bytes = 0;
};

Image image_of(std::span<const GuestCall> calls) {
  Image image;
  std::map<std::vector<uint8_t>, int64_t> places;
  std::ostringstream table, pointers;
  table << "\t.data\n\t.balign 64\n\t.globl calls\ncalls:\n";
  for (size_t i = 0; i < calls.size(); ++i) {
    const GuestCall& call = calls[i];
    table << "\t.quad " << call.symbol << ", buffers_" << i << ", " << call.count << ", "
          << call.begin << ", " << call.end << "\n";
    pointers << "buffers_" << i << ":\n";
    for (const GuestBuffer& buffer : call.buffers) {
      const auto size = static_cast<int64_t>(buffer.bytes.size());
      int64_t place = 0;
      switch (buffer.use) {
        case GuestBuffer::Use::input: {
          const auto [at, fresh] =
              places.emplace(buffer.bytes, static_cast<int64_t>(image.inputs.size()));
          place = at->second;
          if (fresh) {
            image.inputs += as_text(buffer.bytes);
            image.inputs.resize(static_cast<size_t>(aligned(place + size)));
          }
          pointers << "\t.quad inputs + " << place + buffer.at << "\n";
          break;
        }
        case GuestBuffer::Use::results:
          place = image.result_bytes;
          image.result_bytes = aligned(place + size);
          pointers << "\t.quad results + " << place + buffer.at << "\n";
          break;
        case GuestBuffer::Use::scratch:
          image.scratch_bytes = std::max(image.scratch_bytes, aligned(size));
          pointers << "\t.quad scratch + " << buffer.at << "\n";
          break;
      }
    }
  }
  table << "\t.quad 0\n" << pointers.str() << "\t.balign 64\ninputs:\n";
  if (!image.inputs.empty()) table << "\t.incbin \"inputs\"\n";
  table << "\t.bss\n\t.balign 64\n\t.globl results, results_end\nresults:\n\t.zero "
        << image.result_bytes << "\nresults_end:\n\t.balign 64\nscratch:\n\t.zero "
        << image.scratch_bytes << "\n\t.section .note.GNU-stack, \"\", %progbits\n";
  image.table = table.str();
  return image;
}

std::string run_process(const ScratchFolder& folder) {
  run({"aarch64-linux-gnu-as", "-o", folder / "call.o", source("call_aarch64.s")});
  run({"aarch64-linux-gnu-as", "-I", folder.path(), "-o", folder / "table.o", folder / "table.s"});
  run({"aarch64-linux-gnu-ld", "-o", folder / "program", folder / "call.o", folder / "table.o",
       folder / "kernels.o"});
  return run({"timeout", "300", "qemu-aarch64", folder / "program"});
}

std::string from_hexadecimal(std::string_view text) {
  std::string bytes;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    bytes += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
  return bytes;
}

/// What Bochs 2.7 makes of the code of kernels.o.
struct BareCode {
  /// Where each vgf2p8affineqb ends, for the assembler: call_x86_64.s says why.
  std::string affine_ends;
  /// Functions with an instruction that it gets wrong: a word extracted from a register beyond 15
  /// to memory, whose displacement it does not scale, and that affine transformation with a mask
  /// and a repeated operand, of which it takes the mask's bits for those of eight bytes.
  std::set<std::string> unfit;
};

BareCode inspect(const ScratchFolder& folder) {
  static const std::regex wrong("vpextrw +.*,%xmm(1[6-9]|2.|3.),-?0x.*|vgf2p8affineqb .*\\{%k.*");
  std::istringstream listing(run({"objdump", "-d", "--no-show-raw-insn", folder / "kernels.o"}));
  BareCode code;
  std::string function;
  uint64_t begin = 0;
  bool affine = false;  // was the last instruction
  for (std::string line; std::getline(listing, line);) {
    if (const size_t name = line.find(" <"); line.ends_with(">:") && name != std::string::npos) {
      begin = std::stoull(line, nullptr, 16);
      function = line.substr(name + 2, line.size() - name - 4);
    }
    const size_t colon = line.find(":\t");
    if (colon == std::string::npos) continue;
    if (affine)
      code.affine_ends += "\t.quad " + function + " + " +
                          std::to_string(std::stoull(line, nullptr, 16) - begin) + "\n";
    const std::string instruction = line.substr(colon + 2);
    affine = instruction.starts_with("vgf2p8affineqb");
    if (std::regex_search(instruction, wrong)) code.unfit.insert(function);
  }
  return code;
}

/// A disk with a boot sector and the program, which lies at 1 MB as linked.
std::string run_bare(const ScratchFolder& folder, const Image& image,
                     const std::string& affine_ends) {
  constexpr int64_t kSector = 512, kCylinder = 16 * 63 * kSector, kMemory = int64_t{120} << 20;
  write_file(folder / "program.ld",
             "SECTIONS { . = 0x100000; .text : { *(.text.entry) *(.text*) } .rodata : { "
             "*(.rodata*) } .data : { *(.data*) } .bss : { *(.bss*) } /DISCARD/ : { "
             "*(.note*) *(.comment) *(.eh_frame*) } }\n");
  write_file(folder / "affine.s", "\t.data\n\t.balign 8\n\t.globl affine_ends\naffine_ends:\n" +
                                      affine_ends + "\t.quad 0\n");
  run({"as", "-o", folder / "call.o", source("call_x86_64.s")});
  run({"as", "-o", folder / "affine.o", folder / "affine.s"});
  run({"as", "-I", folder.path(), "-o", folder / "table.o", folder / "table.s"});
  run({"ld", "-T", folder / "program.ld", "-o", folder / "program", folder / "call.o",
       folder / "table.o", folder / "affine.o", folder / "kernels.o"});
  run({"objcopy", "-O", "binary", folder / "program", folder / "program.bin"});
  std::ifstream in(folder / "program.bin", std::ios::binary);
  const std::string program{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const auto bytes = static_cast<int64_t>(program.size());
  if (bytes + image.result_bytes + image.scratch_bytes > kMemory)
    throw std::runtime_error("the calls need more memory than the machine has");
  const int64_t sectors = (bytes + kSector - 1) / kSector;
  run({"as", "--defsym", "SECTORS=" + std::to_string(sectors), "-o", folder / "boot.o",
       source("boot_x86_64.s")});
  run({"ld", "-Ttext", "0x7c00", "--oformat", "binary", "-o", folder / "boot", folder / "boot.o"});
  std::ifstream boot(folder / "boot", std::ios::binary);
  std::string disk{std::istreambuf_iterator<char>(boot), std::istreambuf_iterator<char>()};
  disk += program;
  const int64_t cylinders = (static_cast<int64_t>(disk.size()) + kCylinder - 1) / kCylinder;
  disk.resize(static_cast<size_t>(cylinders * kCylinder));
  write_file(folder / "disk", disk);
  write_file(folder / "machine",
             "cpu: model=corei7_icelake_u, count=1, ips=200000000, reset_on_triple_fault=0\n"
             "memory: guest=128, host=128\n"
             "romimage: file=/usr/share/bochs/BIOS-bochs-legacy\n"
             "vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest\n"
             "display_library: rfb, options=\"timeout=0\"\n"
             "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n"
             "ata0-master: type=disk, mode=flat, path=\"" +
                 (folder / "disk") + "\", cylinders=" + std::to_string(cylinders) +
                 ", heads=16, spt=63\n"
                 "boot: disk\n"
                 "port_e9_hack: enabled=1\n"
                 "sound: driver=dummy\n"
                 "panic: action=fatal\n"
                 "log: " +
                 (folder / "log") + "\n");
  write_file(folder / "debugger", "continue\n");
  // It ends with an error whenever a guest stops it.
  const Finished f = run_command(
      {"timeout", "300", "bochs", "-q", "-f", folder / "machine", "-rc", folder / "debugger"});
  const size_t first = f.out.find('<'), last = f.out.find('>', first);
  if (last == std::string::npos) {
    std::ifstream log(folder / "log");
    std::string text{std::istreambuf_iterator<char>(log), std::istreambuf_iterator<char>()};
    throw std::runtime_error("the machine did not finish: " + f.err + f.out.substr(0, 1000) +
                             text.substr(text.size() - std::min<size_t>(text.size(), 1500)));
  }
  return from_hexadecimal(std::string_view(f.out).substr(first + 1, last - first - 1));
}

}  // namespace

std::string Guest::missing() const {
  for (const Tool& tool : kTools)
    if (tool.bare == bare && !installed(tool.program))
      return std::string(tool.program) + " (Debian package " + tool.package + ")";
  return "";
}

std::span<const Guest> guests() {
  static const std::vector<Guest> kGuests = {
      {"avx512", jit::Target::named("icelake"), true},
      {"neon", jit::Target::named("neoverse-n1"), false},
      {"aarch64", jit::Target::named("aarch64"), false},
  };
  return kGuests;
}

std::set<std::string> run_in_guest(const Guest& guest, std::span<const uint8_t> object,
                                   std::span<GuestCall> calls) {
  const ScratchFolder folder;
  const Image image = image_of(calls);
  write_file(folder / "kernels.o", as_text(object));
  write_file(folder / "inputs", image.inputs);
  write_file(folder / "table.s", image.table);
  const BareCode code = guest.bare ? inspect(folder) : BareCode();
  const std::string results =
      guest.bare ? run_bare(folder, image, code.affine_ends) : run_process(folder);
  if (static_cast<int64_t>(results.size()) != image.result_bytes)
    throw std::runtime_error("the guest wrote " + std::to_string(results.size()) + " bytes of " +
                             std::to_string(image.result_bytes));
  int64_t at = 0;
  for (GuestCall& call : calls)
    for (GuestBuffer& buffer : call.buffers) {
      if (buffer.use != GuestBuffer::Use::results) continue;
      const auto from = results.begin() + at;
      const auto size = static_cast<int64_t>(buffer.bytes.size());
      std::copy(from, from + size, buffer.bytes.begin());
      at = aligned(at + size);
    }
  return code.unfit;
}

}  // namespace qloom::testing
