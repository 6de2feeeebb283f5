package launch

import "log/slog"

// JudgeHead is how the first bytes of a file are judged.
func JudgeHead(head []byte) error { return judgeHead(head, "/plugin") }

// ParseHandshake reads a line; the address is "" for one that is no handshake.
func ParseHandshake(line string) (network, address string, ok bool) {
	h, ok := parseHandshake(line)
	return h.network, h.address, ok
}

// Clip makes one printable line.
func Clip(text string, most int) string { return clip(text, most) }

// Print is what becomes of a piece that a plugin printed after its handshake.
func Print(log *slog.Logger, piece []byte) {
	w := &printed{stream: "stdout", gate: newGate(), log: log, scrub: func(text string) string { return text }}
	_, _ = w.Write(piece)
}

// Overfull says what is too much in a folder.
func Overfull(folder string, bytes int64, entries int) string {
	return overfull(folder, bytes, entries)
}

// RemoveLeft removes what a plugin left of its own folder.
func RemoveLeft(folder string) error { return removeLeft(folder) }
