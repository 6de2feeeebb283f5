package scan_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/windsock-monitor/windsock/internal/scan"
)

// said is what is found in a text: "line:column api model max_tokens temperature".
func said(r scan.Result) []string {
	var all []string
	for _, c := range r.Calls {
		all = append(all, fmt.Sprintf("%d:%d %s %s %s %s", c.Line, c.Column, c.API, c.Model, c.MaxTokens, c.Temperature))
	}
	return all
}

func TestCalls(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file, text string
		want       []string
	}{
		"TypeScript, all set": {
			"a.ts", "const r = await client.chat.complete({\n  model: \"mistral-small-2603\",\n  maxTokens: 200,\n  temperature: 0.2,\n  messages: [{ role: \"user\", content: `a } ${b.c({})} \"` }],\n});",
			[]string{"1:17 chat mistral-small-2603 set set"},
		},
		"TypeScript, none set, with words that look like it": {
			"a.ts", "await client.chat.stream({ // maxTokens: 5\n  model: 'mistral-large-latest', /* temperature: 1 */\n  messages: [{ content: 'maxTokens: 5, temperature: 1' }] })",
			[]string{"1:7 chat mistral-large-latest absent absent"},
		},
		"a tool's parameter is none of the call's": {
			"a.ts", `client.chat.complete({ model: "mistral-small-2603", tools: [{ parameters: { temperature: { type: "number" } } }], messages })`,
			[]string{"1:1 chat mistral-small-2603 absent absent"},
		},
		"spread": {
			"a.ts", `client.chat.complete({ model: "mistral-small-2603", maxTokens: 9, ...defaults })`,
			[]string{"1:1 chat mistral-small-2603 set unclear"},
		},
		"variable":               {"a.ts", "import '@mistralai/mistralai'\nthis.client.chat.complete(request)", []string{"2:1 chat  unclear unclear"}},
		"nothing but a spread":   {"a.ts", "import '@mistralai/mistralai'\nclient.chat.stream({ ...request })", []string{"2:1 chat  unclear unclear"}},
		"shorthand":              {"a.ts", `client.chat.complete({ model, messages, maxTokens, temperature })`, []string{"1:1 chat  set set"}},
		"undefined is absent":    {"a.ts", `client.chat.complete({ model, maxTokens: undefined, temperature: null })`, []string{"1:1 chat  absent absent"}},
		"second argument":        {"a.ts", `client.chat.complete({ model, messages }, options)`, []string{"1:1 chat  absent absent"}},
		"put together":           {"a.ts", `client.chat.complete(Object.assign({}, defaults, { model }))`, []string{"1:1 chat  unclear unclear"}},
		"with a type":            {"a.ts", `client.chat.complete({ model, messages } as ChatRequest)`, []string{"1:1 chat  absent absent"}},
		"one or the other":       {"a.ts", `client.chat.complete(short ? { model, maxTokens: 5 } : { model })`, []string{"1:1 chat  unclear unclear"}},
		"conditional":            {"a.ts", `client.chat.complete({ model, ...(short && { maxTokens: 5 }) })`, []string{"1:1 chat  unclear unclear"}},
		"optional chain":         {"a.ts", `client?.chat?.complete({ model, maxTokens })`, []string{"1:1 chat  set absent"}},
		"in a template":          {"a.ts", "const a = `x ${await client.chat.complete({ model, maxTokens: 1 })} y`; f(`}`)", []string{"1:22 chat  set absent"}},
		"after a regexp":         {"a.ts", "const q = /[\"'`/]/; client.chat.complete({ model, maxTokens: 1 })", []string{"1:21 chat  set absent"}},
		"in a comment":           {"a.ts", "// client.chat.complete({ model })\n/* client.chat.complete({ model }) */", nil},
		"in a string":            {"a.ts", "const help = 'call client.chat.complete({ model })'; const m = \"mistral\"", nil},
		"another chat":           {"a.ts", "room.chat.stream({ to: 'all' }); socket.chat({ text })", nil},
		"not closed":             {"a.ts", "client.chat.complete({ model", nil},
		"embeddings":             {"a.ts", `client.embeddings.create({ model: "mistral-embed", inputs })`, []string{"1:1 embeddings mistral-embed absent absent"}},
		"embeddings of others":   {"a.ts", `client.embeddings.create({ model: "text-embedding-3-small", input })`, nil},
		"FIM":                    {"a.ts", `client.fim.complete({ model: "codestral-2508", prompt, maxTokens: 9 })`, []string{"1:1 fim codestral-2508 set absent"}},
		"old client, TypeScript": {"a.js", `const c = new MistralClient(k); c.chat({ model: 'mistral-tiny', messages })`, []string{"1:33 chat mistral-tiny absent absent"}},
		"OpenAI's client": {
			"a.ts", `openai.chat.completions.create({ model: "mistral-small-latest", max_tokens: 5, messages })`,
			[]string{"1:1 chat mistral-small-latest set absent"},
		},
		"OpenAI's client with OpenAI's model": {"a.ts", "// not mistral\nopenai.chat.completions.create({ model: 'gpt-4o', messages })", nil},

		"Python": {
			"a.py", "r = client.chat.complete(\n    model=\"mistral-small-latest\",  # temperature=1\n    messages=[{\"role\": \"user\", \"content\": \"max_tokens=5\"}],\n    max_tokens=256,\n)",
			[]string{"1:5 chat mistral-small-latest set absent"},
		},
		"Python, async":     {"a.py", "await client.chat.complete_async(model=m, temperature=0.1, **opts)", []string{"1:7 chat  unclear set"}},
		"Python, stream":    {"a.py", "from mistralai import Mistral\nwith client.chat.stream(model='ministral-3b-2512', messages=x) as s: pass", []string{"2:6 chat ministral-3b-2512 absent absent"}},
		"Python, old":       {"a.py", "from mistralai.client import MistralClient\nclient.chat(model='mistral-tiny', messages=x)", []string{"2:1 chat mistral-tiny absent absent"}},
		"Python, docstring": {"a.py", "def f():\n    \"\"\"Use client.chat.complete(model='mistral-small-latest').\"\"\"\n", nil},
		"Python, None":      {"a.py", "client.chat.complete(model=m, max_tokens=None, temperature=0)", []string{"1:1 chat  absent set"}},

		"LangChain":         {"a.ts", `const llm = new ChatMistralAI({ model: "mistral-large-latest", temperature: 0 });`, []string{"1:17 chat mistral-large-latest absent set"}},
		"LangChain, Python": {"a.py", `llm = ChatMistralAI(model_name="mistral-large-2512", max_tokens=5)`, []string{"1:7 chat mistral-large-2512 set absent"}},
		"LangChain, class":  {"a.py", "class ChatMistralAI(BaseChatModel):\n    pass", nil},
		"LangChain, init":   {"a.py", `llm = init_chat_model("mistral-small-latest", temperature=0)`, []string{"1:7 chat mistral-small-latest absent set"}},
		"AI SDK":            {"a.ts", `await generateText({ model: mistral("mistral-small-latest"), maxOutputTokens: 10, prompt })`, []string{"1:7 chat mistral-small-latest set absent"}},
		"AI SDK, of others": {"a.ts", "import { mistral } from './x';\nawait generateText({ model: openai('gpt-4o'), prompt })", nil},
		"AI SDK, elsewhere": {"a.ts", "import { mistral } from '@ai-sdk/mistral';\nawait streamText({ model, prompt })", []string{"2:7 chat  absent absent"}},
		"LangChain4j": {
			"A.java", `var m = MistralAiChatModel.builder().apiKey(key).modelName("mistral-small-latest").maxTokens(10).build();`,
			[]string{"1:9 chat mistral-small-latest set absent"},
		},

		"fetch": {
			"a.ts", "await fetch('https://api.mistral.ai/v1/chat/completions', {\n method: 'POST',\n body: JSON.stringify({ model: 'mistral-small-latest', max_tokens: 5, messages }) })",
			[]string{"1:7 chat mistral-small-latest set absent"},
		},
		"fetch, variable": {"a.ts", "await fetch(`${MISTRAL}/v1/chat/completions`, { method: 'POST', body })", nil},
		"fetch, variable, by name": {
			"a.ts", "await fetch('https://api.mistral.ai/v1/chat/completions', { method: 'POST', body })",
			[]string{"1:7 chat  unclear unclear"},
		},
		"constant": {
			"a.ts", "const URL1 = 'https://api.mistral.ai/v1/chat/completions';\nasync function f() { return axios.post(URL1, { model: 'mistral-small-2603', temperature: 0 }) }",
			[]string{"2:29 chat mistral-small-2603 absent set"},
		},
		"constant that goes elsewhere": {"a.ts", "export const URL1 = 'https://api.mistral.ai/v1/chat/completions';", []string{"1:22 chat  unclear unclear"}},
		"a server's route":             {"a.ts", "// stands in for mistral\napp.post('/v1/chat/completions', (req, res) => res.json({}))", nil},
		"requests": {
			"a.py", "requests.post('https://api.mistral.ai/v1/chat/completions', headers=h, json={'model': 'mistral-small-latest', 'temperature': 0.3, 'messages': []})",
			[]string{"1:1 chat mistral-small-latest absent set"},
		},
		"requests, variable": {"a.py", "requests.post('https://api.mistral.ai/v1/chat/completions', json=payload)", []string{"1:1 chat  unclear unclear"}},
		"requests, dict": {
			"a.py", "requests.post(f'{MISTRAL_URL}/chat/completions', json=dict(model='mistral-small-latest', max_tokens=3, messages=[]))",
			[]string{"1:1 chat mistral-small-latest set absent"},
		},
		"axios, one argument": {
			"a.ts", "await axios({ method: 'post', url: 'https://api.mistral.ai/v1/chat/completions', data: { model: 'mistral-small-latest', messages } })",
			[]string{"1:7 chat mistral-small-latest absent absent"},
		},
		"base address": {
			"a.ts", "const MISTRAL = 'https://api.mistral.ai/v1';\nawait fetch(`${MISTRAL}/chat/completions`, { body: JSON.stringify({ model: 'mistral-small-latest', temperature: 0 }) })",
			[]string{"2:7 chat mistral-small-latest absent set"},
		},
		"Ruby": {
			"a.rb", "Net::HTTP.post(URI('https://api.mistral.ai/v1/chat/completions'), { model: 'mistral-small-latest', max_tokens: 5 }.to_json)",
			[]string{"1:6 chat mistral-small-latest set absent"},
		},
		"PHP": {
			"a.php", "<?php $r = $http->post('https://api.mistral.ai/v1/chat/completions', ['json' => ['model' => 'mistral-small-latest', 'temperature' => 0.1]]);",
			[]string{"1:19 chat mistral-small-latest absent set"},
		},
		"Java, by hand":        {"A.java", `HttpRequest.newBuilder().uri(URI.create("https://api.mistral.ai/v1/chat/completions")).POST(body)`, []string{"1:26 chat  unclear unclear"}},
		"LiteLLM":              {"a.py", `r = completion(model="mistral/mistral-large-latest", messages=m, max_tokens=10)`, []string{"1:5 chat mistral-large-latest set absent"}},
		"LiteLLM, for another": {"a.py", "# or mistral\nr = completion(model=\"gpt-4o\", messages=m)", nil},
		"Go, literal": {
			"a.go", "http.Post(\"https://api.mistral.ai/v1/chat/completions\", \"application/json\", strings.NewReader(`{\"model\":\"mistral-small-latest\",\"max_tokens\":5,\"messages\":[]}`))",
			[]string{"1:1 chat mistral-small-latest set absent"},
		},
		"Go, variable": {"a.go", `req, err := http.NewRequest("POST", "https://api.mistral.ai/v1/chat/completions", body)`, []string{"1:13 chat  unclear unclear"}},

		"curl": {
			"a.sh", "# curl https://api.mistral.ai/v1/chat/completions -d '{\"model\": \"m\"}'\ncurl -s https://api.mistral.ai/v1/chat/completions \\\n  -H \"Authorization: Bearer $KEY\" \\\n  -d '{\"model\": \"mistral-small-latest\",\n \"max_tokens\": 5, \"messages\": []}'\necho '\"temperature\": 1'",
			[]string{"2:1 chat mistral-small-latest set absent"},
		},
		"curl, file":     {"a.sh", "curl https://api.mistral.ai/v1/chat/completions -d @body.json", []string{"1:1 chat  unclear unclear"}},
		"curl, document": {"a.sh", "curl https://api.mistral.ai/v1/chat/completions -d @- <<EOF\n{\"model\": \"mistral-small-latest\", \"temperature\": 0}\nEOF\n", []string{"1:1 chat mistral-small-latest absent set"}},
		"curl, inserted": {"a.sh", "curl https://api.mistral.ai/v1/chat/completions -d \"{\\\"model\\\": \\\"mistral-small-latest\\\", $EXTRA}\"", []string{"1:1 chat mistral-small-latest unclear unclear"}},
		"curl in YAML":   {"a.yml", "- run: |\n    curl https://api.mistral.ai/v1/chat/completions -d '{\"model\":\"mistral-small-latest\"}'\n", []string{"2:5 chat mistral-small-latest absent absent"}},

		"YAML": {
			"a.yaml", "llm:\n  temperature: 0.1\n  # max_tokens: 5\n  model: mistral-small-latest\nother:\n  max_tokens: 5\n",
			[]string{"4:10 chat mistral-small-latest absent set"},
		},
		"YAML, list": {
			"a.yaml", "- model: mistral-small-latest\n  max_tokens: 5\n- model: mistral-large-2512\n  temperature: 1\n",
			[]string{"1:10 chat mistral-small-latest set absent", "3:10 chat mistral-large-2512 absent set"},
		},
		"YAML, deeper":     {"a.yaml", "model: mistral-small-latest\nparameters:\n  temperature: 0\n  max_tokens: 4\n", []string{"1:8 chat mistral-small-latest set set"}},
		"YAML, braces":     {"a.yaml", "with: {model: mistral-small-latest, max_tokens: 16}\n", []string{"1:15 chat mistral-small-latest set absent"}},
		"YAML, merged":     {"a.yaml", "a:\n  <<: *defaults\n  model: mistral-small-latest\n  temperature: 1\n", []string{"3:10 chat mistral-small-latest unclear set"}},
		"YAML, model only": {"a.yaml", "app:\n  model: mistral-small-latest\n", nil},
		"JSON":             {"a.json", "{\"llm\": {\"model\": \"mistral-small-latest\", \"temperature\": 0.2}, \"max_tokens\": 1}", []string{"1:19 chat mistral-small-latest absent set"}},
		"TOML":             {"a.toml", "[llm]\nmodel = \"mistral-small-latest\"\nmax_tokens = 5\n[other]\ntemperature = 1\n", []string{"2:10 chat mistral-small-latest set absent"}},
		"a document":       {"README.md", "```ts\nclient.chat.complete({ model: 'mistral-small-latest' })\n```", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := said(scan.File(tt.file, []byte(tt.text))); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q in\n%s", got, tt.want, tt.text)
			}
		})
	}
}
