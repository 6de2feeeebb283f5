//go:build (e2e || packages) && linux

package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// serial is the emulated computer's first serial line, to which its command prints; the second is the console.
const serial = "/dev/ttyS0"

// computer is an emulated one whose disk is made of root.
func (m *Machine) computer(root string, console *tail) (*exec.Cmd, io.ReadCloser, error) {
	kernel, err := only(m.Base, "boot/vmlinuz-*")
	if err != nil {
		return nil, nil, err
	}
	initrd, err := only(m.Base, "boot/initrd.img-*")
	if err != nil {
		return nil, nil, err
	}
	if err := m.furnish(root, serial); err != nil {
		return nil, nil, err
	}
	disk := filepath.Dir(root) + "/disk"
	for _, argv := range [][]string{{"cp", "-a", m.Share, root + "/e2e"}, {"mke2fs", "-q", "-t", "ext4", "-d", root, disk, "2500M"}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil { //nolint:gosec,noctx // our own words; it ends with this process
			return nil, nil, fmt.Errorf("making the computer's disk: %w: %s", err, out)
		}
	}
	said, says, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("making the computer's serial line: %w", err)
	}
	qemu := exec.Command("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1536", "-smp", "2", //nolint:gosec,noctx // as above
		"-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none", "-serial", "stdio", "-serial", "file:/dev/stderr",
		"-kernel", kernel, "-initrd", initrd, "-append", "root=/dev/vda rw console=ttyS1 quiet systemd.show_status=0 panic=-1",
		"-drive", "file="+disk+",format=raw,if=virtio,cache=unsafe")
	qemu.Stdout, qemu.Stderr = says, console
	return qemu, said, nil
}

// only is the one file of a tree that matches.
func only(tree, pattern string) (string, error) {
	found, err := filepath.Glob(filepath.Join(tree, pattern))
	if err != nil || len(found) != 1 {
		return "", errors.Join(fmt.Errorf("the tree %s has %d files %s, want one", tree, len(found), pattern), err)
	}
	return found[0], nil
}
