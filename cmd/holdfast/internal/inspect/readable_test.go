package inspect

import "testing"

func TestPermittedSpans(t *testing.T) {
	for _, tt := range []struct {
		namespace, prefix string
		permission, want  span // of the store, and without the namespace
		none              bool
	}{
		{"", "", span{"jobs/", "jobs0"}, span{"jobs/", "jobs0"}, false},
		{"", "jobs/a", span{"jobs/", "jobs0"}, span{"jobs/a", "jobs/b"}, false},
		{"", "jobs/", span{"jobs/b", "jobs/c"}, span{"jobs/b", "jobs/c"}, false},
		{"", "jobs/", span{"other/", "other0"}, span{}, true},
		{"", "", span{"a", ""}, span{"a", ""}, false},
		{"", "b", span{"a", ""}, span{"b", "c"}, false},
		{"app/", "", span{"app/", "app0"}, span{"\x00", ""}, false},
		{"app/", "", span{"a", ""}, span{"\x00", ""}, false},
		{"app/", "x", span{"app/", "app0"}, span{"x", "y"}, false},
		{"app/", "", span{"app/x", "app/y"}, span{"x", "y"}, false},
		{"app/", "", span{"jobs/", "jobs0"}, span{}, true},
		{"", "\xff", span{"a", ""}, span{"\xff", ""}, false},
	} {
		got, some := tt.permission.within(prefixed(tt.namespace + tt.prefix))
		if some {
			got = User{Namespace: tt.namespace}.relative(got)
		} else {
			got = span{}
		}
		if some == tt.none || got != tt.want {
			t.Errorf("%+v: %q, %v", tt, got, some)
		}
	}
}

func TestScanSkipsItems(t *testing.T) {
	for key, want := range map[string]string{
		"jobs/a/1f":                    "jobs/a/1f\x00",
		"jobs/q//q/5/0000000000000042": "jobs/q//q0",
		"jobs/q//d/000000000000042/1f": "jobs/q//d0",
		"jobs/q//u/some//x/id":         "jobs/q//u0",
		"jobs/q//c/5/0000000000000042": "jobs/q//c/5/0000000000000042\x00",
		"jobs//1f":                     "jobs//1f\x00",
	} {
		if got := after(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}
