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
#include <map>
#include <optional>
#include <set>

#include "graph/support/error.h"
#include "jit/llvm/errors.h"

namespace qloom::jit {
namespace {

struct Instruction {
  uint64_t address = 0;
  std::string text;
  std::optional<uint64_t> branch_target;
  bool call = false;
  bool ends_block = false;  ///< a branch or return
  bool leaves = false;      ///< control never goes on to the next instruction
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
      : x86_(machine.getTargetTriple().isX86()),
        info_(*machine.getMCInstrInfo()),
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
      // The printer takes branch offsets from where the processor does: x86 from the next
      // instruction.
      const uint64_t base = i.address + (x86_ ? size : 0);
      printer_->printInst(&inst, base, "", subtarget_, out);
      const llvm::MCInstrDesc& desc = info_.get(inst.getOpcode());
      i.call = desc.isCall();
      i.ends_block = desc.isBranch() || desc.isReturn();
      i.leaves = desc.isUnconditionalBranch() || desc.isReturn() || desc.isIndirectBranch();
      uint64_t target = 0;
      if (desc.isBranch() && analysis_->evaluateBranch(inst, i.address, size, target)) {
        i.branch_target = target;
      }
      at += size;
    }
    return list;
  }

 private:
  bool x86_;
  const llvm::MCInstrInfo& info_;
  const llvm::MCSubtargetInfo& subtarget_;
  mutable llvm::MCContext context_;
  std::unique_ptr<llvm::MCDisassembler> decoder_;
  std::unique_ptr<llvm::MCInstPrinter> printer_;
  std::unique_ptr<llvm::MCInstrAnalysis> analysis_;
};

/// Flow of control between basic blocks, which are ranges of instructions.
struct Flow {
  struct Block {
    size_t first = 0, last = 0;  ///< instructions [first, last)
    std::vector<int> next;
  };
  std::vector<Block> blocks;
};

Flow flow_of(const std::vector<Instruction>& code) {
  std::map<uint64_t, size_t> index;
  for (size_t i = 0; i < code.size(); ++i) index[code[i].address] = i;
  std::set<size_t> leaders = {0};
  for (size_t i = 0; i < code.size(); ++i) {
    if (!code[i].ends_block) continue;
    leaders.insert(i + 1);
    if (!code[i].branch_target) continue;
    if (const auto at = index.find(*code[i].branch_target); at != index.end())
      leaders.insert(at->second);
  }
  leaders.insert(code.size());
  Flow flow;
  std::map<size_t, int> block_at;
  for (auto at = leaders.begin(); std::next(at) != leaders.end(); ++at) {
    block_at[*at] = static_cast<int>(flow.blocks.size());
    flow.blocks.push_back({*at, *std::next(at), {}});
  }
  for (Flow::Block& b : flow.blocks) {
    const Instruction& end = code[b.last - 1];
    if (!end.leaves && block_at.contains(b.last)) b.next.push_back(block_at[b.last]);
    if (!end.branch_target) continue;
    if (const auto at = index.find(*end.branch_target); at != index.end()) {
      b.next.push_back(block_at[at->second]);
    }
  }
  // Padding behind a jump seems to fall into what follows, but nothing leads to it.
  std::vector<bool> reached(flow.blocks.size());
  std::vector<int> open = {0};
  while (!open.empty()) {
    const auto b = static_cast<size_t>(open.back());
    open.pop_back();
    if (reached[b]) continue;
    reached[b] = true;
    open.insert(open.end(), flow.blocks[b].next.begin(), flow.blocks[b].next.end());
  }
  for (size_t b = 0; b < flow.blocks.size(); ++b)
    if (!reached[b]) flow.blocks[b].next.clear();
  return flow;
}

/// Tarjan's strongly connected components of the blocks in `inside`, those without a cycle left
/// out.
class Cycles {
 public:
  Cycles(const Flow& flow, const std::set<int>& inside) : flow_(flow), inside_(inside) {
    for (int b : inside) {
      if (!order_.contains(b)) visit(b);
    }
  }
  [[nodiscard]] const std::vector<std::set<int>>& found() const { return found_; }

 private:
  int visit(int b) {
    int low = order_[b] = static_cast<int>(order_.size());
    stack_.push_back(b);
    on_stack_.insert(b);
    bool self = false;
    for (int n : flow_.blocks[b].next) {
      if (!inside_.contains(n)) continue;
      self = self || n == b;
      if (!order_.contains(n)) {
        low = std::min(low, visit(n));
      } else if (on_stack_.contains(n)) {
        low = std::min(low, order_[n]);
      }
    }
    if (low != order_[b]) return low;
    std::set<int> component;
    for (int top = -1; top != b; stack_.pop_back()) {
      top = stack_.back();
      component.insert(top);
      on_stack_.erase(top);
    }
    if (component.size() > 1 || self) found_.push_back(std::move(component));
    return low;
  }

  const Flow& flow_;
  const std::set<int>& inside_;
  std::map<int, int> order_;
  std::vector<int> stack_;
  std::set<int> on_stack_;
  std::vector<std::set<int>> found_;
};

/// Adds the blocks of the innermost loops among `inside` to `result`. Machine code orders blocks as
/// it likes, so loops are found in the flow: a cycle without its head holds the loops within it.
void add_innermost(const Flow& flow, const std::set<int>& inside, std::set<int>& result) {
  const Cycles cycles(flow, inside);
  for (const std::set<int>& cycle : cycles.found()) {
    int head = *cycle.begin();
    for (size_t b = 0; b < flow.blocks.size(); ++b) {
      if (cycle.contains(static_cast<int>(b))) continue;
      for (int n : flow.blocks[b].next) {
        if (cycle.contains(n)) head = n;  // entered from outside
      }
    }
    std::set<int> rest = cycle;
    rest.erase(head);
    const size_t before = result.size();
    add_innermost(flow, rest, result);
    if (result.size() == before) result.insert(cycle.begin(), cycle.end());
  }
}

// Hundreds of instructions without a branch hide a few accesses, and a smaller tile costs more.
constexpr size_t kLongBlock = 256;
constexpr int kFewOfLong = 16;

int inner_loop_stack_accesses(const std::vector<Instruction>& code, const StackSpelling& s) {
  const bool frame = std::any_of(code.begin(), code.end(), [&](const Instruction& i) {
    return contains(i.text, s.frame_set_up[0]) || contains(i.text, s.frame_set_up[1]);
  });
  auto touches_stack = [&](const Instruction& i) {
    if (i.call || contains(i.text, "\tpush") || contains(i.text, "\tpop")) return true;
    if (contains(i.text, s.not_access)) return false;
    return contains(i.text, s.by_stack_pointer) || (frame && contains(i.text, s.by_frame_pointer));
  };
  const Flow flow = flow_of(code);
  std::set<int> all, inner;
  for (size_t b = 0; b < flow.blocks.size(); ++b) all.insert(static_cast<int>(b));
  add_innermost(flow, all, inner);
  int accesses = 0;
  for (int b : inner) {
    const size_t first = flow.blocks[b].first, last = flow.blocks[b].last;
    int of_block = 0;
    for (size_t i = first; i < last; ++i) of_block += touches_stack(code[i]);
    const bool lost =
        last - first >= kLongBlock && of_block * kFewOfLong <= static_cast<int>(last - first);
    if (!lost) accesses += of_block;
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

void check_object(llvm::MemoryBufferRef object, const std::string& what) {
  auto file = take(llvm::object::ObjectFile::createELFObjectFile(object), what);
  qloom_assert(file->isRelocatableObject(), what, ": not a relocatable object");
  for (const llvm::object::SectionRef section : file->sections()) {
    static_cast<void>(take(section.getName(), what));
    static_cast<void>(take(section.getContents(), what));
  }
  for (const llvm::object::ELFSymbolRef symbol : file->symbols()) {
    static_cast<void>(take(symbol.getName(), what));
    static_cast<void>(take(symbol.getFlags(), what));
  }
}

}  // namespace qloom::jit
