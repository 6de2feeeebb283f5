//go:build linux && (amd64 || arm64)

package shim

import "fmt"

// Verdict runs the filter that a kernel gets whose Landlock is of the version, on a call; args are the lower words of its
// arguments.
func Verdict(s *Spec, abi int, number uint32, args ...uint32) uint32 {
	t, _ := calls()
	words := map[uint32]uint32{atNumber: number, atArch: t.arch}
	for i, value := range args {
		words[uint32(atArgs+8*i)] = value
	}
	var a uint32
	f := t.filter(s, abi)
	for pc := 0; ; pc++ {
		i := f[pc]
		var jump bool
		switch i.op {
		case opReturn:
			return i.k
		case opLoad:
			a = words[i.k]
			continue
		case opMask:
			a &= i.k
			continue
		case opEqual:
			jump = a == i.k
		case opAtMost:
			jump = a > i.k
		case opSet:
			jump = a&i.k != 0
		default:
			panic(fmt.Sprintf("instruction %d: %#v", pc, i))
		}
		if jump {
			pc += int(i.jt)
		} else {
			pc += int(i.jf)
		}
	}
}
