package scan_test

import (
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/scan"
)

// lot makes a credential of n characters that nobody has: it is computed, so that no scanner of this repository finds one.
func lot(n int, alphabet string) string {
	b, state := make([]byte, n), uint32(20261128)
	for i := range b {
		state = state*1664525 + 1013904223
		b[i] = alphabet[int(state>>16)%len(alphabet)]
	}
	return string(b)
}

const (
	base62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	base36 = "abcdefghijklmnopqrstuvwxyz0123456789"
	hex    = "0123456789abcdef"
)

func TestPlantedKeys(t *testing.T) {
	t.Parallel()
	key := lot(32, base62)
	for name, tt := range map[string]struct{ file, text, kind string }{
		"TypeScript property":             {"a.ts", `const client = new Mistral({ apiKey: "` + key + `" });`, "API key"},
		"TypeScript constant with a type": {"a.ts", `export const MISTRAL_API_KEY: string = '` + key + `';`, "API key"},
		"TypeScript fallback of a variable": {
			"a.ts", `const apiKey = process.env.MISTRAL_API_KEY ?? "` + key + `";`, "API key",
		},
		"positional": {"a.js", `const client = new Mistral("` + key + `")`, "API key"},
		"header":     {"a.ts", `headers: { "Authorization": "Bearer ` + key + `" }`, "bearer token"},
		"template":   {"a.ts", "headers: { Authorization: `Bearer " + key + "` }", "bearer token"},
		"x-api-key":  {"a.ts", `req.setHeader("x-api-key", "` + key + `")`, "API key"},
		"next line":  {"a.ts", "apiKey:\n    \"" + key + "\",", "API key"},
		"comment":    {"a.ts", `// apiKey: "` + key + `"`, "API key"},

		"Python argument":          {"a.py", `client = Mistral(api_key="` + key + `")`, "API key"},
		"Python default":           {"a.py", `key = os.environ.get("MISTRAL_API_KEY", "` + key + `")`, "API key"},
		"Python, two lines":        {"a.py", "key = os.environ.get(\n    \"MISTRAL_API_KEY\",\n    \"" + key + "\",\n)", "API key"},
		"Python environ":           {"a.py", `os.environ["MISTRAL_API_KEY"] = '` + key + `'`, "API key"},
		"Python brackets":          {"a.py", "API_KEY = (\n    \"" + key + "\"\n)", "API key"},
		"Python, three quotes":     {"a.py", `api_key = """` + key + `"""`, "API key"},
		"one of two":               {"a.ts", `const apiKey = local ? "` + key + `" : undefined`, "API key"},
		"fallback of another name": {"a.ts", `const apiKey = config.k || "` + key + `"`, "API key"},
		"Terraform, Google Cloud":  {"a.tf", `secret_data = "` + key + `"`, "secret"},
		"Python SecretStr":         {"a.py", `mistral_api_key=SecretStr("` + key + `")`, "API key"},
		"Go constant":              {"a.go", "const apiKey = \"" + key + "\"", "API key"},
		"Go typed":                 {"a.go", "var mistralAPIKey string = `" + key + "`", "API key"},
		"Go bytes":                 {"a.go", "signingKey := []byte(\"" + key + "\")", "secret key"},
		"Go header":                {"a.go", `req.Header.Set("Authorization", "Bearer ` + key + `")`, "bearer token"},
		"Java":                     {"A.java", `private static final String API_KEY = "` + key + `";`, "API key"},
		"Java builder":             {"A.java", `MistralAiChatModel.builder().apiKey("` + key + `")`, "API key"},
		"Kotlin":                   {"a.kt", `val apiKey: String = "` + key + `"`, "API key"},
		"C#":                       {"a.cs", `public string ApiKey { get; set; } = "` + key + `";`, "API key"},
		"C# verbatim":              {"a.cs", `var apiKey = @"` + key + `";`, "API key"},
		"Ruby":                     {"a.rb", `Mistral.new(api_key: '` + key + `')`, "API key"},
		"Ruby fallback":            {"a.rb", `key = ENV["MISTRAL_API_KEY"] || "` + key + `"`, "API key"},
		"PHP":                      {"a.php", `$apiKey = '` + key + `';`, "API key"},
		"PHP define":               {"a.php", `define('MISTRAL_API_KEY', '` + key + `');`, "API key"},
		"PHP arrow":                {"a.php", `'api_key' => '` + key + `',`, "API key"},
		"Rust":                     {"a.rs", `const API_KEY: &str = "` + key + `";`, "API key"},
		"shell export":             {"a.sh", `export MISTRAL_API_KEY=` + key, "API key"},
		"shell default":            {"a.sh", `KEY="${MISTRAL_API_KEY:-` + key + `}"`, "API key"},
		"shell flag":               {"a.sh", `./tool --api-key ` + key + ` run`, "API key"},
		"curl":                     {"a.sh", `curl -H "Authorization: Bearer ` + key + `" https://api.mistral.ai/v1/models`, "bearer token"},
		"curl header":              {"a.sh", `curl -H 'x-api-key: ` + key + `' https://api.mistral.ai`, "API key"},
		"query":                    {"a.sh", `curl "https://host.invalid/?api_key=` + key + `&a=b"`, "API key"},
		"YAML":                     {"a.yaml", `  api_key: ` + key, "API key"},
		"YAML quoted":              {"a.yaml", `  mistral.api-key: "` + key + `"`, "API key"},
		"Kubernetes env":           {"a.yaml", "- name: MISTRAL_API_KEY\n  value: \"" + key + "\"", "API key"},
		"YAML argument":            {"a.yaml", `args: ["--api-key", "` + key + `"]`, "API key"},
		"TOML":                     {"a.toml", `api_key = "` + key + `"`, "API key"},
		"properties":               {"a.properties", `spring.ai.mistralai.api-key=` + key, "API key"},
		"env":                      {".env", `MISTRAL_API_KEY=` + key, "API key"},
		"env of a stage":           {".env.production", `export MISTRAL_KEY_PROD='` + key + `'`, "API key"},
		"JSON":                     {"a.json", `{"apiKey": "` + key + `"}`, "API key"},
		"JSON pair":                {"a.json", `{"name": "MISTRAL_API_KEY", "value": "` + key + `"}`, "API key"},
		"JSON in a string":         {"a.go", `body := "{\"api_key\": \"` + key + `\"}"`, "API key"},
		"Dockerfile ENV =":         {"Dockerfile", `ENV MISTRAL_API_KEY=` + key, "API key"},
		"Dockerfile ENV":           {"Dockerfile.prod", `ENV MISTRAL_API_KEY ` + key, "API key"},
		"Dockerfile ARG":           {"Dockerfile", `ARG MISTRAL_API_KEY="` + key + `"`, "API key"},
		"Terraform":                {"a.tf", `  mistral_api_key = "` + key + `"`, "API key"},
		"Terraform default":        {"a.tf", "variable \"mistral_api_key\" {\n  type    = string\n  default = \"" + key + "\"\n}", "API key"},
		"XML":                      {"app.config", `<add key="MistralApiKey" value="` + key + `"/>`, "API key"},
		"XML element":              {"a.xml", `<apiKey>` + key + `</apiKey>`, "API key"},
		"npmrc":                    {".npmrc", `//registry.invalid/:_authToken=` + lot(36, base62), "token"},
		"markdown":                 {"README.md", "    export MISTRAL_API_KEY=" + key, "API key"},
		"Datadog's form":           {"a.py", `dd_api_key = "` + lot(32, hex) + `"`, "API key"},
		"small letters":            {"a.py", `api_key = "` + lot(32, base36) + `"`, "API key"},
		"Windows ends":             {".env", "A=b\r\nMISTRAL_API_KEY=" + key + "\r\n", "API key"},
		"secret":                   {"a.ts", `clientSecret: "` + lot(40, base62) + `"`, "secret"},

		"compose":     {"compose.yaml", "    - MISTRAL_API_KEY=" + key, "API key"},
		"unit":        {"orders.service", `Environment="MISTRAL_API_KEY=` + key + `"`, "API key"},
		"Spring":      {"A.java", `@Value("${mistral.api-key:` + key + `}")`, "API key"},
		"plus":        {"a.js", `headers.Authorization = "Bearer " + "` + key + `"`, "bearer token"},
		"PHP setter":  {"a.php", `$client->setApiKey('` + key + `');`, "API key"},
		"block":       {"a.yaml", "api_key: >-\n  " + key, "API key"},
		"bare key":    {"a.py", "import mistralai\nKEY = '" + key + "'", "API key"},
		"list":        {"a.ts", `const apiKeys = ["` + key + `"]`, "API key"},
		"notebook":    {"a.ipynb", `"client = Mistral(api_key=\"` + key + `\")\n"`, "API key"},
		"minified":    {"a.js", strings.Repeat("x", 65530) + `,apiKey:"` + key + `",` + strings.Repeat("y", 70000), "API key"},
		"AWS":         {"a.txt", "id " + "AK" + "IA" + lot(16, "ABCDEFGHJKLMNPQRSTUVWXYZ234567"), "AWS access key"},
		"GitHub":      {"a.txt", "gh" + "p_" + lot(36, base62), "GitHub token"},
		"Slack":       {"a.txt", "xo" + "xb-" + lot(12, "0123456789") + "-" + lot(24, base62), "Slack token"},
		"sk":          {"a.txt", "s" + "k-" + lot(40, base62), "API key"},
		"sk-proj":     {"a.txt", "s" + "k-proj-" + lot(40, base62), "API key"},
		"private key": {"a.go", "const k = `-----BEGIN " + "PRIVATE KEY-----\n" + lot(64, base62) + "\n-----END", "private key"},
		"in JSON":     {"a.json", `"private_key": "-----BEGIN ` + `RSA PRIVATE KEY-----\n` + lot(64, base62) + `\n`, "private key"},
		"password":    {"a.py", `DB_PASSWORD = "` + "vK4!" + lot(10, base62) + `"`, "password"},
		"database":    {".env", "DATABASE_URL=postgres://shop:" + lot(20, base62) + "@db.internal:5432/shop", "password"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := scan.File(tt.file, []byte(tt.text))
			if len(r.Secrets) != 1 || r.Secrets[0].Kind != tt.kind {
				t.Errorf("got %+v, want one %s in\n%s", r.Secrets, tt.kind, tt.text)
			}
		})
	}
}

func TestLookAlikes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ file, text string }{
		"environment, JavaScript":  {"a.ts", `const client = new Mistral({ apiKey: process.env.MISTRAL_API_KEY_PROD_2026 });`},
		"environment, with a bang": {"a.ts", `apiKey: process.env["MISTRAL_API_KEY_PROD_2026"]!`},
		"environment, Vite":        {"a.ts", `const apiKey = import.meta.env.VITE_MISTRAL_API_KEY2024X`},
		"environment, Python":      {"a.py", `api_key=os.environ["MISTRAL_API_KEY_PROD_2026"]`},
		"environment, Go":          {"a.go", `apiKey := os.Getenv("MISTRAL_API_KEY_PROD_2026")`},
		"environment, Java":        {"A.java", `String apiKey = System.getenv("MISTRAL_API_KEY_2026_X1");`},
		"environment, C#":          {"a.cs", `var apiKey = Environment.GetEnvironmentVariable("MISTRAL_API_KEY_2026_X1");`},
		"environment, shell":       {"a.sh", `curl -H "Authorization: Bearer ${MISTRAL_API_KEY_PROD_2026}" https://api.mistral.ai`},
		"environment, bare":        {"a.sh", `export MISTRAL_API_KEY=$MISTRAL_API_KEY_PROD_2026`},
		"substitution":             {"a.sh", `export MISTRAL_API_KEY="$(vault kv get -field=key secret/mistral2/prod1a2b)"`},
		"template in JavaScript":   {"a.ts", "headers: { Authorization: `Bearer ${config.mistralKey2026Production1}` }"},
		"Helm":                     {"a.yaml", `  MISTRAL_API_KEY: {{ .Values.mistral.apiKey2026 | b64enc | quote }}`},
		"GitHub Actions":           {"a.yaml", `  MISTRAL_API_KEY: ${{ secrets.MISTRAL_API_KEY_PROD_2026 }}`},
		"secretKeyRef":             {"a.yaml", "- name: MISTRAL_API_KEY\n  valueFrom:\n    secretKeyRef:\n      name: mistral-credentials-v2\n      key: api-key"},
		"your key":                 {".env", `MISTRAL_API_KEY=your-mistral-api-key-here-1a2b3c4d5e`},
		"YOUR_KEY":                 {"a.ts", `apiKey: "YOUR_MISTRAL_API_KEY_123456"`},
		"crosses":                  {".env", `MISTRAL_API_KEY=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`},
		"angles":                   {".env", `MISTRAL_API_KEY=<32-characters-a1b2c3d4e5f6g7h8>`},
		"changeme":                 {"a.yaml", `api_key: changeme-1a2b3c4d5e6f7g8h`},
		"keyboard":                 {"a.ts", `apiKey: "abcdefghijklmnop1234567890123456"`},
		"test word":                {"a.ts", `apiKey: "test-key-9f8a7b6c5d4e3f2a1b0c"`},
		"empty":                    {".env", `MISTRAL_API_KEY=`},
		"UUID":                     {"a.ts", `apiKey: "3f2a9c1e-7b4d-4e8a-9c6f-1d2e3f4a5b6c"`},
		"git sha":                  {"a.yaml", `revision: ` + lot(40, hex)},
		"sha of a token":           {"a.ts", `token: "` + lot(64, hex) + `"`},
		"integrity":                {"a.json", `"integrity": "sha512-` + lot(86, base62) + `=="`},
		"docker digest":            {"Dockerfile", `FROM node@sha256:` + lot(64, hex)},
		"base64 image":             {"a.css", `src: url(data:image/png;base64,` + lot(400, base62) + `)`},
		"model":                    {"a.ts", `const model = "mistral-small-latest"; const apiModel = "codestral-2508-instruct-7b"`},
		"max tokens":               {"a.ts", `maxTokens: 4096, stopToken: "` + lot(20, base62) + `"`},
		"page token":               {"a.go", `nextPageToken: "` + lot(40, base62) + `"`},
		"key of a map":             {"a.go", `key: "` + lot(24, base62) + `"`},
		"name of a secret":         {"a.yaml", `secretName: mistral-credentials-2026-prod1`},
		"path of a key":            {"a.go", `apiKeyFile := "/etc/windsock/secrets/mistral-2026-a1b2c3"`},
		"identifier":               {"a.ts", `const apiKey = buildApiKeyFromEnvironment2026(config1, config2)`},
		"public key":               {"a.yaml", `public_key: ` + lot(44, base62)},
		"argument beside a key":    {"a.ts", `hash(apiKey, "` + lot(32, base62) + `")`},
		"words of a list":          {"a.py", "    'crypto_secretkey',\n    '" + lot(32, base62) + "',"},
		"PEM header in code":       {"a.go", `strings.Contains(text, "-----BEGIN PRIVATE KEY-----")`},
		"PEM of a certificate":     {"a.pem", "-----BEGIN CERTIFICATE-----\n" + lot(64, base62)},
		"weak password":            {"a.yaml", `POSTGRES_PASSWORD: postgres`},
		"variable password":        {".env", `DATABASE_URL=postgres://shop:${DB_PASSWORD}@db:5432/shop`},
		"usual password":           {".env", `DATABASE_URL=postgres://postgres:postgres@localhost:5432/shop`},
		"password message":         {"a.ts", `password: "must-have-8-characters-Aa1"`},
		"AWS of the documents":     {"a.txt", "AKIA" + "IOSFODNN7EXAMPLE"},
		"sealed":                   {"a.yaml", "kind: SealedSecret\nspec:\n  encryptedData:\n    key1: " + lot(200, base62)},
		"UI text":                  {"a.tsx", `<label>API key:</label> <a href="https://console.mistral.ai/api-keys/2026a1b2">get it</a>`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r := scan.File(tt.file, []byte(tt.text)); len(r.Secrets) != 0 {
				t.Errorf("got %+v in\n%s", r.Secrets, tt.text)
			}
		})
	}
}
