package datadog

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Where the Datadog Agent listens unless somebody says otherwise.
const (
	defaultSocket = "/var/run/datadog/dsd.socket"
	defaultPort   = "8125"
)

// Sizes of a packet. Those of the Agent's buffer (dogstatsd_buffer_size) and of an Ethernet frame are the defaults of
// datadog-go too; the largest is what fits into a UDP datagram.
const (
	socketPacket = 8192
	udpPacket    = 1432
	leastPacket  = 512
	mostPacket   = 65467
)

// Params is the `with:` section of the kind "datadog". An absent address is read from the Agent's own variables.
type Params struct {
	Address         string        `yaml:"address" jsonschema_description:"DogStatsD: unix:///var/run/datadog/dsd.socket (also unixgram:// and unixstream://), or host:port for UDP. Absent: DD_DOGSTATSD_URL, DD_AGENT_HOST with DD_DOGSTATSD_PORT, else unix:///var/run/datadog/dsd.socket"`
	Tags            []string      `yaml:"tags" jsonschema_description:"tags on everything, beside those of labels: [\"team:search\"]"`
	Namespace       string        `yaml:"namespace" jsonschema_description:"put in front of every metric and service check, with a dot: acme makes acme.windsock.probe.success"`
	MaxMessageBytes int           `yaml:"max_message_bytes" jsonschema_description:"size of a packet. Absent: 8192 for a socket (the Agent's dogstatsd_buffer_size), 1432 for UDP"`
	Timeout         time.Duration `yaml:"timeout" jsonschema_description:"bound on sending one batch"`
	OriginDetection bool          `yaml:"origin_detection" jsonschema_description:"say which container this is, so that the Agent adds its tags"`
}

// Validate checks what can be checked without the environment.
func (p Params) Validate() error {
	var errs []error
	if p.Address != "" {
		if _, err := parseAddress(p.Address); err != nil {
			errs = append(errs, checks.Invalid("address", "%s", err))
		}
	}
	for i, tag := range p.Tags {
		if cleanTag(tag) == "" {
			errs = append(errs, checks.Invalid("tags."+strconv.Itoa(i), "%q is not a tag, want key:value", tag))
		}
	}
	if p.Namespace != "" && !namespace().MatchString(p.Namespace) {
		errs = append(errs, checks.Invalid("namespace", "%q is not one, want letters, digits, _ and dots, a letter first", p.Namespace))
	}
	if p.MaxMessageBytes != 0 && (p.MaxMessageBytes < leastPacket || p.MaxMessageBytes > mostPacket) {
		errs = append(errs, checks.Invalid("max_message_bytes", "%d is not from %d to %d", p.MaxMessageBytes, leastPacket, mostPacket))
	}
	if p.Timeout <= 0 {
		errs = append(errs, checks.Invalid("timeout", "%s is not a bound, want more than 0s", p.Timeout))
	}
	return errors.Join(errs...)
}

func namespace() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{0,60}$`) }

// address is where DogStatsD listens.
type address struct {
	network string // "udp", "unixgram", "unix" (a stream), "" for a socket whose type shows when it is dialled
	target  string
}

func (a address) udp() bool { return a.network == "udp" }

func (a address) String() string {
	if a.udp() {
		return "udp://" + a.target
	}
	return "unix://" + a.target
}

// parseAddress reads a socket's URL or path, host:port, or host.
func parseAddress(text string) (address, error) {
	for prefix, network := range map[string]string{"unix://": "", "unixgram://": "unixgram", "unixstream://": "unix"} {
		if path, ok := strings.CutPrefix(text, prefix); ok {
			if !strings.HasPrefix(path, "/") {
				return address{}, errors.New("a socket wants an absolute path, unix:///var/run/datadog/dsd.socket")
			}
			return address{network, path}, nil
		}
	}
	if strings.HasPrefix(text, "/") {
		return address{"", text}, nil
	}
	text = strings.TrimPrefix(text, "udp://")
	if strings.Contains(text, "://") {
		return address{}, errors.New("the scheme is not one of unix, unixgram, unixstream, udp")
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), defaultPort
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if u, urlErr := url.Parse("udp://" + net.JoinHostPort(host, port)); err != nil || number == 0 || urlErr != nil || u.Hostname() == "" || strings.ContainsAny(host, "/@?# ") {
		return address{}, errors.New("not an address, want host:port or unix:///path")
	}
	return address{"udp", net.JoinHostPort(host, port)}, nil
}

// address resolves parameter and variables, in the order in which Datadog's own clients do.
func (p Params) address(getenv func(string) string) (address, error) {
	switch {
	case p.Address != "":
		return parseAddress(p.Address)
	case getenv("DD_DOGSTATSD_URL") != "":
		a, err := parseAddress(getenv("DD_DOGSTATSD_URL"))
		if err != nil {
			return address{}, errors.New("DD_DOGSTATSD_URL: " + err.Error())
		}
		return a, nil
	case getenv("DD_AGENT_HOST") != "":
		host := getenv("DD_AGENT_HOST")
		if port := getenv("DD_DOGSTATSD_PORT"); port != "" && !strings.Contains(host, "://") {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		a, err := parseAddress(host)
		if err != nil {
			return address{}, errors.New("DD_AGENT_HOST: " + err.Error())
		}
		return a, nil
	}
	return address{"", defaultSocket}, nil
}
