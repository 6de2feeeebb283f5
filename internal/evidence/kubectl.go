package evidence

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/internal/runbook"
)

// Cluster is what is kept of what kubectl tells: counts and states. Environments, annotations, commands, volumes and secrets
// have no place in it.
type Cluster struct {
	Deployments []Deployment `json:"deployments"`
	Pods        []Pod        `json:"pods"`
}

// Deployment is how far a rollout has come.
type Deployment struct {
	Name        string      `json:"name"`
	Namespace   string      `json:"namespace,omitempty"`
	Generation  int64       `json:"generation"`
	Observed    int64       `json:"observed_generation"`
	Wanted      int64       `json:"replicas_wanted"`
	Replicas    int64       `json:"replicas"`
	Ready       int64       `json:"ready"`
	Updated     int64       `json:"updated"`
	Available   int64       `json:"available"`
	Unavailable int64       `json:"unavailable"`
	Paused      bool        `json:"paused,omitempty"`
	Conditions  []Condition `json:"conditions,omitempty"`
}

// Condition is one of a deployment's.
type Condition struct {
	Type   string `json:"type"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// Pod is how one is.
type Pod struct {
	Name       string      `json:"name"`
	Phase      string      `json:"phase"`
	Started    string      `json:"started_at,omitempty"`
	Containers []Container `json:"containers,omitempty"`
}

// Container is how one of a pod's is.
type Container struct {
	Name        string `json:"name"`
	Ready       bool   `json:"ready"`
	Restarts    int64  `json:"restarts"`
	State       string `json:"state,omitempty"` // running, waiting, terminated
	Reason      string `json:"reason,omitempty"`
	ExitCode    *int64 `json:"exit_code,omitempty"`
	ImageDigest string `json:"image_digest,omitempty"` // sha256 alone
}

// AskCluster asks kubectl for a deployment and its pods, or for all of kubectl's own namespace where the team named none. Where
// only the pods are not told, the deployments are, with the error.
func (p Programs) AskCluster(ctx context.Context, of *runbook.Kubernetes) (*Cluster, error) {
	var where []string
	if of != nil && of.Namespace != "" {
		where = append(where, "--namespace="+of.Namespace)
	}
	if of != nil && of.Context != "" {
		where = append(where, "--context="+of.Context)
	}
	get := []string{"get", "deployments", "--output=json"}
	if of != nil {
		get = []string{"get", "deployment", "--output=json", of.Deployment}
	}
	text, err := p.Run(ctx, "kubectl", append(get, where...)...)
	if err != nil {
		return nil, err
	}
	items, err := itemsOf[wireDeployment](text)
	if err != nil {
		return nil, err
	}
	out := &Cluster{Deployments: []Deployment{}, Pods: []Pod{}}
	selector := ""
	for i := range items {
		out.Deployments = append(out.Deployments, items[i].view())
		selector = selectorOf(items[i].Spec.Selector.MatchLabels)
	}
	get = []string{"get", "pods", "--output=json"}
	if of != nil && selector != "" {
		get = append(get, "--selector="+selector)
	}
	if text, err = p.Run(ctx, "kubectl", append(get, where...)...); err != nil {
		return out, fmt.Errorf("the pods: %w", err)
	}
	pods, err := itemsOf[wirePod](text)
	if err != nil {
		return out, fmt.Errorf("the pods: %w", err)
	}
	for i := range pods {
		out.Pods = append(out.Pods, pods[i].view())
	}
	return out, nil
}

func selectorOf(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ",")
}

// itemsOf reads a list or one thing.
func itemsOf[T any](text []byte) ([]T, error) {
	var list struct {
		Kind  string            `json:"kind"`
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("kubectl printed %d bytes that are no JSON", len(text)) // what it printed may be anything
	}
	if list.Items == nil && !strings.HasSuffix(list.Kind, "List") {
		list.Items = []json.RawMessage{text}
	}
	out := make([]T, len(list.Items))
	for i, item := range list.Items {
		if err := json.Unmarshal(item, &out[i]); err != nil {
			return nil, fmt.Errorf("kubectl printed something else than was asked for: %w", err)
		}
	}
	return out, nil
}

type wireMeta struct {
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	Generation int64  `json:"generation"`
}

type wireDeployment struct {
	Metadata wireMeta `json:"metadata"`
	Spec     struct {
		Replicas int64 `json:"replicas"`
		Paused   bool  `json:"paused"`
		Selector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"selector"`
	} `json:"spec"`
	Status struct {
		Observed    int64       `json:"observedGeneration"`
		Replicas    int64       `json:"replicas"`
		Ready       int64       `json:"readyReplicas"`
		Updated     int64       `json:"updatedReplicas"`
		Available   int64       `json:"availableReplicas"`
		Unavailable int64       `json:"unavailableReplicas"`
		Conditions  []Condition `json:"conditions"`
	} `json:"status"`
}

func (w *wireDeployment) view() Deployment {
	return Deployment{
		Name: w.Metadata.Name, Namespace: w.Metadata.Namespace, Generation: w.Metadata.Generation, Observed: w.Status.Observed,
		Wanted: w.Spec.Replicas, Replicas: w.Status.Replicas, Ready: w.Status.Ready, Updated: w.Status.Updated,
		Available: w.Status.Available, Unavailable: w.Status.Unavailable, Paused: w.Spec.Paused, Conditions: w.Status.Conditions,
	}
}

type wireState struct {
	Reason    string `json:"reason"`
	ExitCode  *int64 `json:"exitCode"`
	StartedAt string `json:"startedAt"`
}

type wirePod struct {
	Metadata wireMeta `json:"metadata"`
	Status   struct {
		Phase      string `json:"phase"`
		StartTime  string `json:"startTime"`
		Containers []struct {
			Name     string                `json:"name"`
			Ready    bool                  `json:"ready"`
			Restarts int64                 `json:"restartCount"`
			ImageID  string                `json:"imageID"`
			State    map[string]*wireState `json:"state"`
		} `json:"containerStatuses"`
	} `json:"status"`
}

func (w *wirePod) view() Pod {
	digest := regexp.MustCompile(`sha256:[0-9a-f]{64}`)
	p := Pod{Name: w.Metadata.Name, Phase: w.Status.Phase, Started: w.Status.StartTime}
	for _, c := range w.Status.Containers {
		view := Container{Name: c.Name, Ready: c.Ready, Restarts: c.Restarts, ImageDigest: digest.FindString(c.ImageID)}
		for _, state := range []string{"running", "waiting", "terminated"} {
			if s := c.State[state]; s != nil {
				view.State, view.Reason, view.ExitCode = state, s.Reason, s.ExitCode
			}
		}
		p.Containers = append(p.Containers, view)
	}
	return p
}
