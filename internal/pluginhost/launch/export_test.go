package launch

// JudgeHead is how the first bytes of a file are judged.
func JudgeHead(head []byte) error { return judgeHead(head, "/plugin") }

// ParseHandshake reads a line; the address is "" for one that is no handshake.
func ParseHandshake(line string) (network, address string, ok bool) {
	h, ok := parseHandshake(line)
	return h.network, h.address, ok
}

// Clip makes one printable line.
func Clip(text string, most int) string { return clip(text, most) }
