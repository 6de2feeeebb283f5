package scan

import (
	"bytes"
	"regexp"
	"strings"
)

// The sorts of calls that Call.API tells apart.
const (
	apiChat       = "chat"
	apiEmbeddings = "embeddings"
	apiFIM        = "fim"
)

// callFinder finds calls to the provider: by its SDKs, by libraries above them, and by plain HTTP. What it goes by are names
// that only those have, or names that many have in a file that names the provider.
type callFinder struct {
	method   *regexp.Regexp // client.chat.complete(
	old      *regexp.Regexp // client.chat(, client.chat_stream(
	made     *regexp.Regexp // ChatMistralAI(
	builder  *regexp.Regexp // MistralAiChatModel.builder()
	generate *regexp.Regexp // generateText(
	sender   *regexp.Regexp // fetch(, of plain HTTP
	body     *regexp.Regexp // a key "model" in a text that holds JSON
	model    *regexp.Regexp
	token    *regexp.Regexp // a value in a configuration
	setting  *regexp.Regexp // model: in YAML and TOML
	heredoc  *regexp.Regexp
	client   *regexp.Regexp // curl
	inserts  *regexp.Regexp // a variable where a key of JSON would be
}

func newCallFinder() *callFinder {
	return &callFinder{
		method:   regexp.MustCompile(`(?:\.|->|::)\s*(chat|fim|embeddings)\s*\(?\)?\s*(?:\?\.|\.|->|::)\s*(complete|stream|complete_?[aA]sync|stream_?[aA]sync|complete_?[sS]tream|parse|parse_async|parse_?[sS]tream|completions\s*\.\s*create|create|create_async)\s*(?:<[^()<>]{0,60}>)?\(`),
		old:      regexp.MustCompile(`\.\s*(chat|chat_stream|chatStream|chat_async|Chat|ChatStream|completion|completion_stream|embeddings|Embeddings)\s*\(`),
		made:     regexp.MustCompile(`\b(ChatMistralAI|ChatMistral|MistralAI|ChatMistralAi|MistralAIEmbeddings|MistralAIEmbedding|init_chat_model|initChatModel|completion|acompletion)\s*(?:<[^()<>]{0,60}>)?\(`),
		builder:  regexp.MustCompile(`\bMistralAi(?:Streaming)?(Chat|Embedding)(?:Model|Options)\s*\.\s*builder\s*\(\s*\)`),
		generate: regexp.MustCompile(`\b(generateText|streamText|generateObject|streamObject|embed|embedMany)\s*(?:<[^()<>]{0,60}>)?\(`),
		sender:   regexp.MustCompile(`(?i)(?:fetch|axios|post|request|newrequestwithcontext|newrequest|ky|got|urlopen|ajax|send|postasync|postasjsonasync|uri|create|stream|retrieve|url|curl_init|curl_setopt)$`),
		body:     regexp.MustCompile(`["']model\\*["']\s*(?::|=>)\s*\\*["']`),
		model:    modelPattern(),
		token:    regexp.MustCompile(`[A-Za-z0-9_./:-]{10,80}`),
		setting:  regexp.MustCompile(`^(\s*(?:-\s+)?)["']?(?:model|model_?[nN]ame|model-name|model_?[iI]d|model-id)["']?\s*[:=]\s*["']?([A-Za-z0-9_./:-]{8,80})["']?\s*(?:[,#].*)?$`),
		heredoc:  regexp.MustCompile(`<<-?\s*["']?([A-Za-z_][A-Za-z0-9_]*)["']?`),
		client:   regexp.MustCompile(`\b(?:curl|wget|https?)\b`),
		inserts:  regexp.MustCompile(`[,{]\s*["'\\]*\s*\$[A-Za-z_{(]`),
	}
}

// find looks for calls and mentions, in texts that can hold any.
func (c *callFinder) find(src *source, s *seen) {
	if src.lang == prose || src.lang == xml || !worth(src.text) {
		return
	}
	m := mask(src.lang, src.text)
	f := &finding{callFinder: c, masked: m, src: src, seen: s, ours: src.ours(), taken: map[int]bool{}}
	if src.lang.code() {
		f.sdk()
		f.libraries()
		f.http()
		f.literals()
		return
	}
	f.configurations()
}

func worth(text []byte) bool {
	for _, sign := range []string{"istral", "ISTRAL", "stral-", "stral:", "xtral", "/chat/completions", ".chat.complete", ".chat.stream", "chat?."} {
		if bytes.Contains(text, []byte(sign)) {
			return true
		}
	}
	return false
}

const most = 1000 // calls of each sort that are looked at in one text

// finding is a look at one text.
type finding struct {
	*callFinder
	masked
	src   *source
	seen  *seen
	ours  bool         // the text names the provider
	taken map[int]bool // offsets at which a call was reported
}

// call reports a call once.
func (f *finding) call(at int, c Call) {
	if f.taken[at] {
		return
	}
	f.taken[at] = true
	c.Place = f.src.place(at)
	f.seen.calls = append(f.seen.calls, c)
}

// begin is where the expression begins that a method is called on.
func (f *finding) begin(at int) int {
	for at > 0 && (word(f.code[at-1]) || f.code[at-1] == '.' || f.code[at-1] == '$' || f.code[at-1] == '?' && f.code[at] == '.') {
		at--
	}
	for f.code[at] == '.' || f.code[at] == '?' {
		at++
	}
	return at
}

// sdk finds the calls of the provider's own libraries, and of the one whose form they are called in.
func (f *finding) sdk() {
	for _, at := range f.method.FindAllSubmatchIndex(f.code, most) {
		api, name := string(f.code[at[2]:at[3]]), string(f.code[at[4]:at[5]])
		chat := api != apiEmbeddings && !strings.HasPrefix(name, "create")
		if !chat && (api != apiEmbeddings || !strings.HasPrefix(name, "create")) {
			continue
		}
		generic := strings.HasPrefix(name, "comp") && strings.HasSuffix(name, "create") || api == apiEmbeddings || !strings.Contains(name, "omplete")
		f.arguments(f.begin(at[0]), at[1]-1, api, generic)
	}
	if !f.ours {
		return
	}
	for _, at := range f.old.FindAllSubmatchIndex(f.code, most) {
		api := apiChat
		if strings.EqualFold(string(f.code[at[2]:at[3]]), apiEmbeddings) {
			api = apiEmbeddings
		}
		if end := f.match(at[1] - 1); end >= 0 && f.hasRequest(at[1]-1, end) {
			f.arguments(f.begin(at[0]), at[1]-1, api, true)
		}
	}
}

// hasRequest says whether what stands between brackets names a model or holds one.
func (f *finding) hasRequest(open, end int) bool {
	a, _ := f.request(open, end)
	if asks(a) {
		return true
	}
	for _, v := range a.loose {
		if f.model.MatchString(f.literal(v)) {
			return true
		}
	}
	return false
}

// asks says whether a request has what one to a model has.
func asks(a arguments) bool {
	for _, name := range []string{"model", "messages", "prompt", "input", "inputs"} {
		if _, ok := a.pairs[name]; ok {
			return true
		}
	}
	return false
}

// request is what a call is told: the object that is its first argument, or its named arguments.
func (f *finding) request(open, end int) (a arguments, object bool) {
	a = f.within(open, end)
	if len(a.loose) == 0 {
		return a, false
	}
	first := a.loose[0]
	if at := f.objectAt(first); at >= 0 {
		return f.within(at, f.match(at)), true
	}
	return a, false
}

// objectAt is the brace of the object that a value is, all of it: {…}, {…} as Request, &Request{…}; or -1.
func (f *finding) objectAt(v span) int {
	i := v.from
	for i < v.to && (word(f.code[i]) || f.code[i] == '&' || f.code[i] == '.') {
		i++
	}
	if i >= v.to || f.code[i] != '{' {
		return -1
	}
	end := f.match(i)
	if end < 0 || end >= v.to {
		return -1
	}
	if rest := strings.TrimSpace(string(f.code[end+1 : v.to])); rest != "" && !strings.HasPrefix(rest, "as ") && !strings.HasPrefix(rest, "satisfies ") {
		return -1
	}
	return i
}

// arguments reports the call whose arguments begin at a bracket. A generic name counts only where the text, or the model,
// is the provider's.
func (f *finding) arguments(at, open int, api string, generic bool) {
	end := f.match(open)
	if end < 0 {
		return
	}
	a, object := f.request(open, end)
	c := Call{API: api, Model: f.modelOf(a)}
	if generic && !f.ours && c.Model == "" {
		return
	}
	variable := a.spread || !object && f.variable(a)
	if generic && c.Model == "" && (f.otherModel(a) || !variable && !asks(a)) {
		return
	}
	f.fill(&c, a)
	if variable {
		c.MaxTokens, c.Temperature = orUnclear(c.MaxTokens), orUnclear(c.Temperature)
	}
	f.call(at, c)
}

// fill says what a request sets.
func (f *finding) fill(c *Call, a arguments) {
	c.MaxTokens = f.presence(a, "maxtokens", "maxoutputtokens")
	c.Temperature = f.presence(a, "temperature")
	if c.API == apiEmbeddings {
		c.MaxTokens, c.Temperature = Absent, Absent
	}
}

func orUnclear(p Presence) Presence {
	if p == Set {
		return Set
	}
	return Unclear
}

// variable says whether an argument without a name is no literal: what it holds stands elsewhere.
func (f *finding) variable(a arguments) bool {
	for _, v := range a.loose {
		if c := f.code[v.from]; c != '"' && c != '\'' && c != '`' && c != '[' {
			return true
		}
	}
	return false
}

// modelOf is the model that a request names, or "".
func (f *finding) modelOf(a arguments) string {
	for _, name := range []string{"model", "modelname", "modelid"} {
		if v, ok := a.pairs[name]; ok {
			if text := f.literal(v); text != "" {
				return f.modelIn(text)
			}
			return f.modelIn(f.constant(strings.TrimSpace(string(f.code[v.from:v.to]))))
		}
	}
	for _, v := range a.loose {
		if model := f.modelIn(f.literal(v)); model != "" {
			return model
		}
	}
	return ""
}

// constant is the text of a string that a name in capitals is given in this text, once, or "".
func (f *finding) constant(name string) string {
	if !identifier(name) || strings.ToUpper(name) != name {
		return ""
	}
	text := ""
	for _, at := range f.uses(name, span{}) {
		value := f.given(at + len(name))
		if value < 0 {
			continue
		}
		end := value + max(0, bytes.IndexByte(f.code[value:], '\n'))
		literal := f.literal(span{value, end})
		if text != "" || literal == "" {
			return ""
		}
		text = literal
	}
	return text
}

// given is where the value begins that a name which ends at an offset is given there, with a type or without; or -1.
func (f *finding) given(i int) int {
	i = f.after(i, len(f.code), " ")
	if i < len(f.code) && f.code[i] == ':' {
		for i++; i < len(f.code) && (word(f.code[i]) || f.code[i] == ' ' || f.code[i] == '&'); i++ {
		}
	}
	if i+1 >= len(f.code) || f.code[i] != '=' || f.code[i+1] == '=' || f.code[i+1] == '>' {
		return -1
	}
	return f.after(i+1, len(f.code), " ")
}

func (f *finding) modelIn(text string) string {
	if m := f.model.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// otherModel says whether a request names a model that is not the provider's.
func (f *finding) otherModel(a arguments) bool {
	v, ok := a.pairs["model"]
	return ok && f.literal(v) != "" && strings.ContainsAny(f.literal(v), "-0123456789")
}

// libraries finds the calls of libraries above the provider's.
func (f *finding) libraries() {
	for _, at := range f.made.FindAllSubmatchIndex(f.code, most) {
		name := string(f.code[at[2]:at[3]])
		if f.declared(at[0]) {
			continue
		}
		open := at[1] - 1
		end := f.match(open)
		// Names that others have too count where a request, or a model of the provider, is given to them.
		shared := strings.HasPrefix(name, "init") || strings.HasSuffix(name, "completion")
		if end < 0 || (name == "MistralAI" || shared) && !f.hasRequest(open, end) {
			continue
		}
		api := apiChat
		if strings.Contains(name, "Embedding") {
			api = apiEmbeddings
		}
		f.arguments(f.begin(at[0]), open, api, shared)
	}
	f.vercel()
	for _, at := range f.builder.FindAllSubmatchIndex(f.code, most) {
		f.chain(at[0], at[1], string(f.code[at[2]:at[3]]))
	}
}

// declared says whether a name is what a declaration declares, and no call.
func (f *finding) declared(at int) bool {
	before := strings.TrimRight(string(f.code[max(0, at-24):at]), " ")
	for _, w := range []string{"class", "def", "function", "func", "interface", "extends", "fun"} {
		if strings.HasSuffix(before, w) {
			return true
		}
	}
	return false
}

// vercel finds the calls of the AI SDK whose model the provider's package makes.
func (f *finding) vercel() {
	for _, at := range f.generate.FindAllSubmatchIndex(f.code, most) {
		open := at[1] - 1
		end := f.match(open)
		if end < 0 || f.declared(at[0]) {
			continue
		}
		a, object := f.request(open, end)
		v, ok := a.pairs["model"]
		if !object || !ok {
			continue
		}
		value := string(f.code[v.from:v.to])
		maker := strings.Contains(strings.ToLower(value), "mistral")
		elsewhere := identifier(value) && bytes.Contains(f.src.text, []byte("@ai-sdk/mistral"))
		c := Call{API: apiChat, Model: f.modelIn(f.literal(v))}
		if !maker && !elsewhere && c.Model == "" {
			continue
		}
		if strings.HasPrefix(string(f.code[at[2]:at[3]]), "embed") {
			c.API = apiEmbeddings
		}
		f.fill(&c, a)
		f.call(f.begin(at[0]), c)
	}
}

// chain reports a builder: what is set is called, up to build().
func (f *finding) chain(at, from int, what string) {
	end := bytes.Index(f.code[from:min(len(f.code), from+4000)], []byte(".build("))
	c := Call{API: apiChat, MaxTokens: Absent, Temperature: Absent}
	if what == "Embedding" {
		c.API = apiEmbeddings
	}
	if end < 0 {
		c.MaxTokens, c.Temperature = Unclear, Unclear
		f.call(at, c)
		return
	}
	for i := from; i < from+end; {
		dot := bytes.IndexByte(f.code[i:from+end], '.')
		if dot < 0 {
			break
		}
		i += dot + 1
		open := bytes.IndexByte(f.code[i:from+end], '(')
		if open < 0 {
			break
		}
		name, last := keyOf(strings.TrimPrefix(strings.TrimSpace(string(f.code[i:i+open])), "with")), f.match(i+open)
		if last < 0 {
			break
		}
		switch name {
		case "maxtokens":
			c.MaxTokens = Set
		case "temperature":
			c.Temperature = Set
		case "model", "modelname":
			c.Model = f.modelIn(f.literal(span{i + open + 1, last}))
		}
		i = last
	}
	f.call(at, c)
}

// literals reports the strings that name a model and nothing else.
func (f *finding) literals() {
	for _, v := range f.strings {
		if v.to-v.from > 80 {
			continue
		}
		if model := f.modelIn(string(f.src.text[v.from:v.to])); model != "" {
			f.mention(v.from, model)
		}
	}
}

func (f *finding) mention(at int, model string) {
	f.seen.models = append(f.seen.models, Mention{f.src.place(at), model, floating(model)})
}
