package pluginhost

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// Instance is one check or exporter of the configuration that a plugin serves.
type Instance struct {
	Name     string // in the file
	Location string
	Labels   map[string]string
	Timeout  time.Duration
	JSON     []byte                   // the parameters: an object, in which a credential is {"secret": NAME}
	Secrets  map[string]checks.Secret // those that JSON refers to, by NAME
	Memory   checks.Memory            // of a check; nil keeps nothing over restarts of the agent

	// Of exporters.
	State         []byte // as it was committed with the cursor
	AgentInstance string
	Unclean       bool
}

// instance is an Instance and what the plugin's process knows of it.
type instance struct {
	s     *supervisor
	id    string
	kind  string        // its name, without the plugin's
	turn  chan struct{} // holds one word while nobody calls: an instance has one call at a time
	users int           // guarded by s.mu

	mu      sync.Mutex
	given   Instance      // guarded by mu
	spec    manifest.Kind // guarded by mu
	fault   string        // guarded by mu: why the plugin did not take it
	maxCost checks.PicoUSD

	// Of the one whose turn it is.
	session *session // that knows the instance
	sum     [sha256.Size]byte
	memory  []byte
	loaded  bool
	state   []byte
}

// join makes the instance of a check, or finds the one that is there already: one whose parameters did not change goes on
// over a reload.
func (s *supervisor) join(kind string, given Instance) *instance {
	return s.admit(identity(kind, given), kind, given)
}

// open makes the instance of an exporter. Each is its own, because its state is.
func (s *supervisor) open(kind string, given Instance) *instance {
	s.mu.Lock()
	s.number++
	id := "e" + strconv.Itoa(s.number)
	s.mu.Unlock()
	return s.admit(id, kind, given)
}

func (s *supervisor) admit(id, kind string, given Instance) *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, known := s.instances[id]
	if !known {
		in = &instance{s: s, id: id, kind: kind, turn: make(chan struct{}, 1), state: given.State}
		in.turn <- struct{}{}
		in.adopt(s.entry.Manifest)
		s.instances[id] = in
		signal(s.poke)
	}
	in.users++
	in.mu.Lock()
	in.given = given // the sources of its secrets may be others now
	in.mu.Unlock()
	return in
}

// identity is the same for the same check with the same parameters.
func identity(kind string, in Instance) string {
	h := sha256.New()
	labels, _ := json.Marshal(in.Labels) // sorted
	for _, part := range []string{kind, in.Name, in.Location, string(labels), in.Timeout.String(), string(in.JSON)} {
		put(h, part)
	}
	return "c" + hex.EncodeToString(h.Sum(nil)[:12])
}

// put writes a text so that two texts are not one.
func put(h hash.Hash, text string) {
	_, _ = fmt.Fprintf(h, "%d:%s", len(text), text)
}

// adopt takes what the manifest says of the kind.
func (in *instance) adopt(m manifest.Manifest) {
	spec, _ := m.Kind(in.kind)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.spec, in.maxCost = spec, spec.MaxCost
}

// leave is called by each user once. The last one's is the instance's end.
func (in *instance) leave() {
	in.s.mu.Lock()
	in.users--
	last := in.users == 0
	session := in.s.session
	if last {
		delete(in.s.instances, in.id)
	}
	in.s.mu.Unlock()
	if !last || session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if in.take(ctx) != nil {
		return
	}
	defer in.give()
	if in.session == session {
		_, err := session.base.Release(ctx, &pluginv1.ReleaseRequest{InstanceId: in.id})
		in.s.stats.call("Release", status.Code(err))
	}
}

// take waits for the turn.
func (in *instance) take(ctx context.Context) error {
	select {
	case <-in.turn:
		return nil
	default:
	}
	select {
	case <-in.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// give gives the turn back.
func (in *instance) give() { in.turn <- struct{}{} }

func (in *instance) name() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return cmp.Or(in.given.Name, in.kind)
}

// wrong is why the plugin did not take the instance; "" where it did.
func (in *instance) wrong() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.fault
}

func (in *instance) blame(text string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.fault = text
}

// errAgain says that the session is not to be used any more: there will be another.
var errAgain = errors.New("the plugin is started again")

// ensure makes the session know the instance with the secrets as they are now. It is called by the one whose turn it is.
func (in *instance) ensure(ctx context.Context, session *session) error {
	values, sum, err := in.reveal(ctx)
	if err != nil {
		in.blame(err.Error())
		return err
	}
	if in.session == session {
		if sum == in.sum {
			return nil
		}
		if !in.s.reconfigures() {
			in.s.retire(session, ReasonSecret)
			return errAgain
		}
	}
	in.session = nil
	if err := in.configure(ctx, session, values); err != nil {
		in.blame(strings.TrimPrefix(err.Error(), "plugin "+in.s.name+": "))
		return err
	}
	in.blame("")
	in.session, in.sum = session, sum
	return nil
}

func (s *supervisor) reconfigures() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entry.Manifest.Reconfigure
}

// reveal reads the secrets that the instance refers to, and a sum by which a change is seen.
func (in *instance) reveal(ctx context.Context) (map[string][]byte, [sha256.Size]byte, error) {
	in.s.mu.Lock()
	allowed := in.s.entry.Secrets
	in.s.mu.Unlock()
	in.mu.Lock()
	secrets := in.given.Secrets
	in.mu.Unlock()
	var sum [sha256.Size]byte
	if len(secrets) == 0 {
		return nil, sum, nil
	}
	values := make(map[string][]byte, len(secrets))
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if !slices.Contains(allowed, name) {
			return nil, sum, in.s.misconfigured("it may not be sent the secret %q; its entry has to list it", name)
		}
		value, err := secrets[name].Reveal(ctx)
		if err != nil {
			return nil, sum, in.s.misconfigured("reading the secret %q: %v", name, err)
		}
		in.s.o.Scrubber.Add(value)
		values[name] = []byte(value)
		put(h, name)
		put(h, value)
	}
	h.Sum(sum[:0])
	return values, sum, nil
}

// renew reads the secrets again past any cache, after a target refused them: the next run sends what is new.
func (in *instance) renew(ctx context.Context) {
	in.mu.Lock()
	secrets := in.given.Secrets
	in.mu.Unlock()
	for name, secret := range secrets {
		if _, err := secret.Renew(ctx); err != nil {
			in.s.log.Warn("reading a secret again", "secret", name, "error", err)
		}
	}
}

// configure sends the instance.
func (in *instance) configure(ctx context.Context, session *session, values map[string][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, in.s.o.Times.Configure)
	defer cancel()
	request := in.request()
	request.Secrets = values
	answer, err := session.base.Configure(ctx, request)
	in.s.stats.call("Configure", status.Code(err))
	if err != nil {
		err = in.s.explain(ctx, session, fmt.Sprintf("it did not take its parameters within %s", in.s.o.Times.Configure), err)
		if e, ok := errors.AsType[*callError](err); ok {
			e.sent, e.code = false, codes.OK // of the call for which this was done
		}
		return err
	}
	session.answered.Store(time.Now().UnixNano())
	if err := in.diagnose(answer.GetDiagnostics()); err != nil {
		return err
	}
	return in.price(answer)
}

func (in *instance) request() *pluginv1.ConfigureRequest {
	in.mu.Lock()
	defer in.mu.Unlock()
	out := &pluginv1.ConfigureRequest{
		InstanceId: in.id, Kind: in.kind, ConfigJson: in.given.JSON, Name: in.given.Name, Location: in.given.Location,
		Labels: in.given.Labels, Timeout: durationpb.New(in.given.Timeout),
	}
	if len(out.ConfigJson) == 0 {
		out.ConfigJson = []byte("{}")
	}
	if in.spec.Type == manifest.Exporter {
		out.Exporter = &pluginv1.ExporterContext{
			State: in.state, AgentInstance: in.given.AgentInstance, AgentVersion: in.s.o.Version, Unclean: in.given.Unclean,
		}
	}
	return out
}

// diagnose reads what the plugin says of the parameters.
func (in *instance) diagnose(all []*pluginv1.Diagnostic) error {
	const most = 20 // of what is said is told; the log has no room for more of one plugin
	var wrong []string
	if more := len(all) - most; more > 0 {
		in.s.log.Warn("plugin says more of parameters than is told", "instance", in.name(), "left_out", more)
		all = slices.SortedStableFunc(slices.Values(all), bySeverity)[:most] // no error is left out for a warning
	}
	for _, d := range all {
		text := wire.Line(in.s.o.Scrubber.String(cmp.Or(d.GetSummary(), "the parameters are wrong")))
		if d.GetPointer() != "" {
			text = wire.Line(in.s.o.Scrubber.String(d.GetPointer())) + ": " + text
		}
		if d.GetSeverity() == pluginv1.Severity_SEVERITY_WARNING {
			in.s.log.Warn("plugin warns of parameters", "instance", in.name(), "warning", text)
			continue
		}
		wrong = append(wrong, text)
	}
	if len(wrong) == 0 {
		return nil
	}
	return in.s.misconfigured("%s", wire.Line(strings.Join(wrong, "; ")))
}

// bySeverity puts warnings behind what keeps an instance from being made.
func bySeverity(a, b *pluginv1.Diagnostic) int {
	warning := func(d *pluginv1.Diagnostic) int {
		if d.GetSeverity() == pluginv1.Severity_SEVERITY_WARNING {
			return 1
		}
		return 0
	}
	return warning(a) - warning(b)
}

// price reads what a run costs at the most, where the plugin knows it better than its manifest.
func (in *instance) price(answer *pluginv1.ConfigureResponse) error {
	if answer.MaxCostPicoUsd == nil {
		return nil
	}
	cost := checks.PicoUSD(answer.GetMaxCostPicoUsd())
	in.mu.Lock()
	defer in.mu.Unlock()
	if cost < 0 || cost > in.spec.MaxCost {
		in.s.stats.fault()
		return in.s.fault("it says that a run costs up to %s, and its manifest %s", cost, in.spec.MaxCost)
	}
	in.maxCost = cost
	return nil
}

// most is what one run can cost.
func (in *instance) most() checks.PicoUSD {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.maxCost
}

// kindSpec is what the manifest says of the kind.
func (in *instance) kindSpec() manifest.Kind {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.spec
}
