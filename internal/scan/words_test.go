package scan_test

import (
	"testing"

	"github.com/windsock-monitor/windsock/internal/scan"
)

// The same in the words of other libraries and files: one key in each.
func TestKeysInOtherWords(t *testing.T) {
	t.Parallel()
	key := lot(32, base62)
	for _, x := range [][2]string{
		{"a.ts", `const MISTRAL_API_KEY = "abcd1234efgh5678ijkl9012mnop3456";`},
		{"a.ts", `const apiKey = 'aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW';`},
		{".env", `MISTRAL_API_KEY=Qm7Zx2Vn9Kp4Lw8Rt3Yb6Hd1Jf5Gs0Ca`},
		{"a.py", `MISTRAL_API_KEY = "sk-mistral-4f9a8b7c6d5e"`},
		{"a.py", `client = Mistral(api_key="hV4kN8pQ2rT6wX0z")`},
		{"a.py", `api_key: str = "` + key + `"`},
		{"a.py", `    api_key: Optional[str] = "` + key + `"`},
		{"a.py", `parser.add_argument("--api-key", default="` + key + `")`},
		{"a.ts", `process.env.MISTRAL_API_KEY = "` + key + `"`},
		{"a.ts", `const { apiKey = "` + key + `" } = opts`},
		{"a.ts", `if (req.headers["x-api-key"] !== "` + key + `") throw 1`},
		{"a.cs", `{ "Mistral:ApiKey", "` + key + `" }`},
		{"A.java", `System.setProperty("mistral.api.key", "` + key + `");`},
		{"A.java", `new MistralAiApi("` + key + `")`},
		{"a.kt", `MistralAiChatModel.builder().apiKey("` + key + `")`},
		{"a.rs", `let api_key = String::from("` + key + `");`},
		{"a.rs", `let api_key = "` + key + `".to_string();`},
		{"a.go", `c := mistral.NewMistralClientDefault("` + key + `")`},
		{"a.go", `os.Setenv("MISTRAL_API_KEY", "` + key + `")`},
		{"a.go", `cfg := Config{APIKey: "` + key + `"}`},
		{"a.rb", `config.api_key = "` + key + `"`},
		{"a.sh", `MISTRAL_API_KEY=` + key + ` node app.js`},
		{"a.sh", `set -x MISTRAL_API_KEY ` + key},
		{"a.ps1", `$env:MISTRAL_API_KEY = "` + key + `"`},
		{"a.yaml", `  - --api-key=` + key},
		{"a.yaml", `mistral_api_key: "` + key + `" # prod`},
		{"a.yaml", "kind: Secret\nstringData:\n  mistral: " + key},
		{"a.yaml", "apiVersion: v1\nkind: ConfigMap\ndata:\n  MISTRAL_API_KEY: " + key},
		{"a.tf", `value = { api_key = "` + key + `" }`},
		{"a.tf", "resource \"x\" \"y\" {\n secret_string = \"" + key + "\"\n}"},
		{"a.tf", "env {\n name = \"MISTRAL_API_KEY\"\n value = \"" + key + "\"\n}"},
		{"Makefile", `export MISTRAL_API_KEY := ` + key},
		{"a.sql", `INSERT INTO settings VALUES ('mistral_api_key', '` + key + `')`},
		{"a.html", `<script>const apiKey = "` + key + `"</script>`},
		{"a.vue", `apiKey: '` + key + `'`},
		{"a.env", `MISTRAL_API_KEY = "` + key + `"`},
		{"a.http", `Authorization: Bearer ` + key},
		{"a.ts", "const url = `https://x/?api_key=" + key + "`"},
		{"a.json", `{"headers": {"Authorization": "Bearer ` + key + `"}}`},
		{"a.json", `{"Authorization": "` + key + `"}`},
		{"a.service", `Environment=MISTRAL_API_KEY=` + key},
		{"a.dart", `static const String apiKey = '` + key + `';`},
		{"a.ts", `Deno.env.get("MISTRAL_API_KEY") ?? "` + key + `"`},
		{"a.ts", `new MistralClient('` + key + `')`},
		{"a.ts", `createMistral({ apiKey: '` + key + `' })`},
		{"a.ts", `const secrets = { mistral: "` + key + `" }`},
		{"a.py", `MISTRAL = "` + key + `"`},
	} {
		r := scan.File(x[0], []byte(x[1]))
		if len(r.Secrets) != 1 {
			t.Errorf("got %v, want one in %s:\n%s", r.Secrets, x[0], x[1])
		}
	}
}

func TestNoKeysInOtherWords(t *testing.T) {
	t.Parallel()
	for _, x := range [][2]string{
		{"a.ts", `const k = "MISTRAL_API_KEY"; const apiKeyName = "orders-mistral-key-2026-11";`},
		{"a.ts", `expect(apiKey).toBe("sk-test-1234567890abcdef1234567890")`},
		{"a.ts", `const token = "${TOKEN_FROM_VAULT_2026}"`},
		{"a.ts", `const passwordRegex = "^(?=.*[A-Z])(?=.*\\d)[A-Za-z\\d]{8,}$"`},
		{"a.ts", `t("errors.apiKey.missing2026.description")`},
		{"a.ts", `apiKey: await getSecret("projects/12345/secrets/mistral-key-2/versions/latest")`},
		{"a.yaml", `secretKey: projects/orders-prod-4711/secrets/mistral-api-key/versions/3`},
		{"a.yaml", `api_key: ENC[AES256_GCM,data:` + lot(40, base62) + `,iv:` + lot(40, base62) + `]`},
		{"a.yaml", `password: !vault |`},
		{"a.yaml", `apiKey: arn:aws:secretsmanager:eu-west-3:123456789012:secret:mistral-AbC123`},
		{"a.yaml", `api_key: op://vault/mistral/credential2026abc`},
		{"a.tf", `api_key = data.google_secret_manager_secret_version.mistral_key_v2.secret_data`},
		{"a.tf", `api_key = var.mistral_api_key_2026_production_v2`},
		{"a.sh", `MISTRAL_API_KEY=$(gcloud secrets versions access latest --secret=mistral-key-2026a)`},
		{"a.sh", `export MISTRAL_API_KEY="$MISTRAL_API_KEY_2026_A1B2"`},
		{"a.properties", `spring.ai.mistralai.api-key=${MISTRAL_API_KEY_2026_A1B2}`},
		{"a.ts", `const token = jwt.sign(payload2026, secretOrPrivateKey1234)`},
		{"a.py", `API_KEY = config("MISTRAL_API_KEY_V2_2026X")`},
		{"a.py", `api_key = Path("/run/secrets/mistral-2026a1b2c3d4").read_text()`},
		{"a.yaml", `secret: s3cr3t`},
		{"a.css", `.token { background: url(` + lot(32, base62) + `.png) }`},
		{"a.ts", `className="token-a1b2c3d4e5f6a7b8"`},
		{"a.json", `{"tokenizer": "` + lot(32, base62) + `", "key": "` + lot(32, base62) + `"}`},
		{"a.yaml", `checksum/secret: ` + lot(64, hex)},
		{"a.yaml", `image: x@sha256:` + lot(64, hex)},
		{"a.md", `Set MISTRAL_API_KEY to the 32-character key from console.mistral.ai/api-keys.`},
	} {
		if r := scan.File(x[0], []byte(x[1])); len(r.Secrets) != 0 {
			t.Errorf("got %v in %s:\n%s", r.Secrets, x[0], x[1])
		}
	}
}
