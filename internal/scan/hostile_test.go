package scan_test

import (
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/scan"
)

// BenchmarkHostile looks at files of 4 MiB that were made to take long.
func BenchmarkHostile(b *testing.B) {
	for name, tt := range map[string]struct{ file, piece string }{
		"brackets":       {"a.ts", "mistral({["},
		"closed":         {"a.ts", "mistral({[]})"},
		"calls":          {"a.ts", "x.chat.complete("},
		"closed calls":   {"a.ts", "x.chat.complete({model:m});"},
		"addresses":      {"a.ts", "f('https://api.mistral.ai/v1/chat/completions');"},
		"constants":      {"a.ts", "abc = 'https://api.mistral.ai/v1/chat/completions';"},
		"templates":      {"a.ts", "mistral`${"},
		"slashes":        {"a.ts", "mistral=/"},
		"objects":        {"a.json", `{"model":"mistral-small-latest","x":`},
		"models":         {"a.yaml", "model: mistral-small-latest\n"},
		"models, deeper": {"a.yaml", " model: mistral-small-latest\n  a: b\n"},
		"tables":         {"a.toml", "model = 'mistral-small-latest'\n"},
		"commands":       {"a.sh", "curl https://api.mistral.ai/v1/chat/completions \\\n"},
		"commands' ends": {"a.sh", "curl 'https://api.mistral.ai/v1/chat/completions\n"},
		"documents":      {"a.sh", "curl https://api.mistral.ai/v1/chat/completions <<A\n"},
		"keys":           {"a.env", planted()},
		"names":          {"a.env", "api_key = "},
		"equal signs":    {"a.env", "a=b:"},
		"values":         {"a.ts", lot(33, base62) + " "},
		"one run":        {"a.ts", lot(33, base62)},
		"forms":          {"a.txt", "s" + "k-ghp_AKIA-----BEGIN xoxb-"},
		"passwords":      {"a.env", "password=a"},
		"at signs":       {"a.env", "a://b:c"},
		"secrets":        {"a.yaml", "kind: Secret\n"},
		"builders":       {"a.java", "MistralAiChatModel.builder()"},
		"capitals":       {"a.py", "client.chat.complete(model=MODEL)\n"},
	} {
		b.Run(name, func(b *testing.B) {
			text := []byte(strings.Repeat(tt.piece, 4<<20/len(tt.piece)))
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				scan.File(tt.file, text)
			}
		})
	}
}

// BenchmarkHostileRedact redacts lines of 256 KiB that were made to take long.
func BenchmarkHostileRedact(b *testing.B) {
	for name, piece := range map[string]string{
		"lists": "api_key=a,", "commas": "a,", "colours": "\x1b[", "flags": "--token ", "pairs": "'x-api-key','", "escapes": "a%3D", "at signs": "a://b@", "two words": "api key: ",
	} {
		b.Run(name, func(b *testing.B) {
			line := strings.Repeat(piece, scan.LogLine/len(piece))
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				scan.Redact(line)
			}
		})
	}
}
