#include "jit/llvm/inspect.h"

#include <llvm/MC/MCAsmInfo.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCDisassembler/MCDisassembler.h>
#include <llvm/MC/MCInst.h>
#include <llvm/MC/MCInstPrinter.h>
#include <llvm/MC/MCInstrAnalysis.h>
#include <llvm/MC/MCInstrInfo.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <optional>

#include "graph/support/error.h"
#include "jit/llvm/errors.h"

namespace qloom::jit {
namespace {

struct Instruction {
  uint64_t address = 0;
  std::string text;
  std::optional<uint64_t> branch_target;
  bool call = false;
};

/// How assembly text spells access to the stack. The frame pointer is an ordinary register unless
/// the function sets it up.
struct StackSpelling {
  llvm::Triple::ArchType arch;
  const char* by_stack_pointer;
  const char* by_frame_pointer;
  const char* frame_set_up[2];
  const char* not_access;  ///< computes an address only
};
constexpr StackSpelling kSpellings[] = {
    {llvm::Triple::x86_64, "(%rsp", "(%rbp", {"%rsp, %rbp", "%rsp, %rbp"}, "lea"},
    {llvm::Triple::aarch64, "[sp", "[x29", {"x29, sp", "x29, sp,"}, "adr"},
};

const StackSpelling& spelling_of(const llvm::Triple& triple) {
  for (const StackSpelling& s : kSpellings) {
    if (s.arch == triple.getArch()) return s;
  }
  qloom_assert(false, "cannot inspect code for ", triple.str());
  return kSpellings[0];
}

bool contains(const std::string& text, const char* part) { return text.find(part) != text.npos; }

/// The disassembler's parts, which refer to each other.
class Disassembler {
 public:
  explicit Disassembler(const llvm::TargetMachine& machine)
      : info_(*machine.getMCInstrInfo()),
        subtarget_(*machine.getMCSubtargetInfo()),
        context_(machine.getTargetTriple(), machine.getMCAsmInfo(), machine.getMCRegisterInfo(),
                 &subtarget_) {
    const llvm::Target& target = machine.getTarget();
    decoder_.reset(target.createMCDisassembler(subtarget_, context_));
    printer_.reset(target.createMCInstPrinter(machine.getTargetTriple(), 0, *machine.getMCAsmInfo(),
                                              info_, *machine.getMCRegisterInfo()));
    analysis_.reset(target.createMCInstrAnalysis(&info_));
    qloom_assert(decoder_ && printer_ && analysis_, "no disassembler for ",
                 machine.getTargetTriple().str());
    printer_->setPrintBranchImmAsAddress(true);
  }

  std::vector<Instruction> decode(const std::string& name, llvm::ArrayRef<uint8_t> bytes,
                                  uint64_t address) const {
    std::vector<Instruction> list;
    for (uint64_t at = 0; at < bytes.size();) {
      llvm::MCInst inst;
      uint64_t size = 0;
      const auto status =
          decoder_->getInstruction(inst, size, bytes.slice(at), address + at, llvm::nulls());
      qloom_assert(status == llvm::MCDisassembler::Success && size > 0, "kernel '", name,
                   "': cannot disassemble the byte at ", at);
      Instruction& i = list.emplace_back();
      i.address = address + at;
      llvm::raw_string_ostream out(i.text);
      printer_->printInst(&inst, i.address, "", subtarget_, out);
      const llvm::MCInstrDesc& desc = info_.get(inst.getOpcode());
      i.call = desc.isCall();
      uint64_t target = 0;
      if (desc.isBranch() && analysis_->evaluateBranch(inst, i.address, size, target)) {
        i.branch_target = target;
      }
      at += size;
    }
    return list;
  }

 private:
  const llvm::MCInstrInfo& info_;
  const llvm::MCSubtargetInfo& subtarget_;
  mutable llvm::MCContext context_;
  std::unique_ptr<llvm::MCDisassembler> decoder_;
  std::unique_ptr<llvm::MCInstPrinter> printer_;
  std::unique_ptr<llvm::MCInstrAnalysis> analysis_;
};

int inner_loop_stack_accesses(const std::vector<Instruction>& code, const StackSpelling& s) {
  struct Range {
    uint64_t first, last;
  };
  std::vector<Range> loops;
  for (const Instruction& i : code) {
    if (i.branch_target && *i.branch_target <= i.address)
      loops.push_back({*i.branch_target, i.address});
  }
  auto innermost = [&](const Range& r) {
    return std::none_of(loops.begin(), loops.end(), [&](const Range& other) {
      const bool inside = r.first <= other.first && other.last <= r.last;
      return inside && (r.first != other.first || r.last != other.last);
    });
  };
  const bool frame = std::any_of(code.begin(), code.end(), [&](const Instruction& i) {
    return contains(i.text, s.frame_set_up[0]) || contains(i.text, s.frame_set_up[1]);
  });
  auto touches_stack = [&](const Instruction& i) {
    if (i.call || contains(i.text, "\tpush") || contains(i.text, "\tpop")) return true;
    if (contains(i.text, s.not_access)) return false;
    return contains(i.text, s.by_stack_pointer) || (frame && contains(i.text, s.by_frame_pointer));
  };
  int accesses = 0;
  for (const Range& r : loops) {
    if (!innermost(r)) continue;
    accesses += static_cast<int>(std::count_if(code.begin(), code.end(), [&](const Instruction& i) {
      return r.first <= i.address && i.address <= r.last && touches_stack(i);
    }));
  }
  return accesses;
}

std::string listing(const std::vector<Instruction>& code, uint64_t base) {
  std::string text;
  llvm::raw_string_ostream out(text);
  for (const Instruction& i : code) {
    out << llvm::format_hex_no_prefix(i.address - base, 6) << i.text << '\n';
  }
  return text;
}

}  // namespace

ObjectReport inspect(llvm::MemoryBufferRef object, const llvm::TargetMachine& machine,
                     bool assembly) {
  const StackSpelling& spelling = spelling_of(machine.getTargetTriple());
  const Disassembler disassembler(machine);
  auto file = take(llvm::object::ObjectFile::createELFObjectFile(object), "object file");
  ObjectReport report;
  for (const llvm::object::ELFSymbolRef symbol : file->symbols()) {
    const uint32_t flags = take(symbol.getFlags(), "symbol flags");
    std::string name = take(symbol.getName(), "symbol name").str();
    if (flags & llvm::object::SymbolRef::SF_Undefined) {
      if (!name.empty() && name != "_GLOBAL_OFFSET_TABLE_") report.undefined.push_back(name);
      continue;
    }
    if (symbol.getELFType() != llvm::ELF::STT_FUNC ||
        !(flags & llvm::object::SymbolRef::SF_Global)) {
      continue;
    }
    const auto section = take(symbol.getSection(), "symbol section");
    const llvm::StringRef bytes = take(section->getContents(), "section contents");
    const uint64_t address = take(symbol.getAddress(), "symbol address");
    const uint64_t begin = address - section->getAddress();
    qloom_assert(begin + symbol.getSize() <= bytes.size(), "function '", name,
                 "' leaves its section");
    const auto code = disassembler.decode(
        name, llvm::arrayRefFromStringRef(bytes.substr(begin, symbol.getSize())), address);
    FunctionReport& f = report.functions.emplace_back();
    f.name = std::move(name);
    f.code_bytes = static_cast<int64_t>(symbol.getSize());
    f.inner_loop_stack_accesses = inner_loop_stack_accesses(code, spelling);
    if (assembly) f.assembly = listing(code, address);
  }
  return report;
}

}  // namespace qloom::jit
