package scan_test

import (
	"testing"

	"github.com/windsock-monitor/windsock/internal/scan"
)

func TestModels(t *testing.T) {
	t.Parallel()
	for name, floats := range map[string]bool{
		"mistral-small-latest": true, "mistral-small-2603": false, "mistral-small": true, "mistral-tiny": true, "mistral-medium-3": true, "mistral-medium-3-5": false,
		"mistral-medium-3.5": false, "mistral-medium-2604": false, "codestral-latest": true, "codestral-2508": false, "mistral-code-fim-latest": true, "devstral-2512": false,
		"ministral-3b-latest": true, "ministral-3b-2512": false, "open-mistral-nemo": true, "open-mistral-7b": false, "open-mixtral-8x22b": false, "mistral-embed": true,
		"mistral-embed-2312": false, "codestral-embed-2505": false, "pixtral-large-latest": true, "voxtral-mini-transcribe-realtime-2602": false, "labs-leanstral-1-5-1": false,
		"magistral-small-latest": true, "mistral-ocr-latest": true, "mistral-vibe-cli-fast": true,
	} {
		for file, text := range map[string]string{
			"a.ts": `const m = "` + name + `";`, "a.py": "m = '" + name + "'", "a.yaml": "m: " + name, ".env": "M=" + name + "\n", "b.yaml": `m: "${M:-` + name + `}"`, "a.json": `{"m": "mistralai/` + name + `"}`,
		} {
			r := scan.File(file, []byte(text))
			if len(r.Models) != 1 || r.Models[0].Model != name || r.Models[0].Floating != floats {
				t.Errorf("%s: got %+v, want %s, floating %t", text, r.Models, name, floats)
			}
		}
	}
	for file, text := range map[string]string{
		"a.ts":      `const q = ["mistral-small-queue", "mistral-key", "@mistralai/mistralai", "mistral-client-typescript", "mistral-credentials-2026", "use mistral-small-latest here"]`,
		"b.ts":      "// mistral-small-latest\n/* 'mistral-small-latest' */ const mistral = small-latest",
		"a.yaml":    "# model: mistral-small-latest\nname: mistral-small-deployment\nimage: registry/mistral-small:2603\n",
		"README.md": "`mistral-small-latest`",
		"a.py":      `"""mistral-small-latest is what we use."""`,
	} {
		if r := scan.File(file, []byte(text)); len(r.Models) != 0 {
			t.Errorf("%s: got %+v, want none", text, r.Models)
		}
	}
}
