package launch

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// open opens the program and looks at its first bytes: what cannot run is told before anything is started.
func (p *Program) open() (*os.File, error) {
	open := p.Open
	if open == nil {
		open = func() (*os.File, error) { return os.Open(p.Path) }
	}
	file, err := open()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault(Missing, "there is no file %q; put the program there, or correct the path", p.Path).because(err)
	case err != nil:
		return nil, fault(Refused, "%v", err).because(err)
	}
	if err := judge(file, p.Path); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// judge says why a file cannot be run here.
func judge(file *os.File, path string) error {
	info, err := file.Stat()
	if err != nil {
		return fault(Refused, "looking at %q: %v", path, err).because(err)
	}
	if !info.Mode().IsRegular() {
		return fault(Refused, "%q is not a file", path)
	}
	if info.Mode().Perm()&0o111 == 0 {
		return fault(Refused, "%q is not executable; chmod 0755 makes it so", path)
	}
	head := make([]byte, 256)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fault(Refused, "reading %q: %v", path, err).because(err)
	}
	return judgeHead(head[:n], path)
}

func judgeHead(head []byte, path string) error {
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		return judgeScript(head, path)
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return judgeELF(head, path)
	case bytes.HasPrefix(head, []byte("MZ")):
		return fault(Format, "%q is a program for Windows, and this host runs %s", path, runtime.GOOS)
	case bytes.HasPrefix(head, []byte{0xcf, 0xfa, 0xed, 0xfe}), bytes.HasPrefix(head, []byte{0xca, 0xfe, 0xba, 0xbe}):
		if runtime.GOOS == "darwin" {
			return nil
		}
		return fault(Format, "%q is a program for macOS, and this host runs %s", path, runtime.GOOS)
	case len(head) == 0:
		return fault(Format, "%q is empty", path)
	}
	return fault(Format, "%q is neither a program nor a script that begins with #!", path)
}

// judgeScript refuses shells: none of them speaks gRPC, and who names one has mistaken a plugin for a check of kind exec.
func judgeScript(head []byte, path string) error {
	line, _, _ := strings.Cut(string(head[2:]), "\n")
	words := strings.Fields(line)
	if len(words) == 0 {
		return fault(Format, "%q names no interpreter behind #!", path)
	}
	interpreter := words[0]
	if filepath.Base(interpreter) == "env" && len(words) > 1 {
		interpreter = words[len(words)-1]
	}
	if slices.Contains([]string{"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"}, filepath.Base(interpreter)) {
		return fault(Format, "%q is a script of %s, and a plugin speaks gRPC; run it with a check of kind exec", path, interpreter)
	}
	return nil
}

func judgeELF(head []byte, path string) error {
	if len(head) < 20 {
		return fault(Format, "%q is cut off after %d bytes", path, len(head))
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[elf.EI_DATA] == byte(elf.ELFDATA2MSB) {
		order = binary.BigEndian
	}
	machine := elf.Machine(order.Uint16(head[18:]))
	want, known := machines()[runtime.GOARCH]
	if !known || machine == want || runtime.GOOS != "linux" {
		return nil
	}
	name := strings.ToLower(strings.TrimPrefix(machine.String(), "EM_"))
	for arch, m := range machines() {
		if m == machine {
			name = arch
		}
	}
	return fault(Format, "%q is built for %s, and this host is %s; install the build for that", path, name, runtime.GOARCH)
}

// machines are the architectures that a program's header names, by Go's names.
func machines() map[string]elf.Machine {
	return map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "386": elf.EM_386, "arm": elf.EM_ARM, "riscv64": elf.EM_RISCV,
		"s390x": elf.EM_S390, "ppc64le": elf.EM_PPC64, "loong64": elf.EM_LOONGARCH,
	}
}

// digest compares what is in the open file with what was locked. It is read past the descriptor's offset, which the
// program's process shares.
func (p *Program) digest(file *os.File) error {
	if p.SHA256 == "" {
		return nil
	}
	h := sha256.New()
	buffer := make([]byte, 256<<10)
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, io.NewSectionReader(file, 0, 1<<62), buffer); err != nil {
		return fault(Refused, "reading %q: %v", p.Path, err).because(err)
	}
	got := hex.EncodeToString(h.Sum(nil))
	if subtle.ConstantTimeCompare([]byte(got), []byte(p.SHA256)) != 1 {
		return fault(Digest, "%q has the SHA-256 %s, and %s was locked; if it was updated on purpose, run: windsock plugins lock", p.Path, got, p.SHA256)
	}
	return nil
}

// handshake is the one line by which a program becomes a plugin.
type handshake struct {
	core, app                  int
	network, address, protocol string
	certificate                string
}

// parseHandshake reads the line, and is false for anything else that a program may print.
func parseHandshake(line string) (handshake, bool) {
	parts := strings.Split(strings.TrimSpace(line), "|")
	if len(parts) < 4 {
		return handshake{}, false
	}
	core, err := strconv.Atoi(parts[0])
	if err != nil {
		return handshake{}, false
	}
	app, err := strconv.Atoi(parts[1])
	if err != nil {
		return handshake{}, false
	}
	h := handshake{core: core, app: app, network: parts[2], address: parts[3], protocol: "netrpc"}
	if len(parts) > 4 {
		h.protocol = parts[4]
	}
	if len(parts) > 5 {
		h.certificate = parts[5]
	}
	return h, true
}
