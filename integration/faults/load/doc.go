// Package load uses all recipes at once, as a program would, and records what it was told. A Party is one program: one
// client, one session at a time, a goroutine or two for each recipe. It runs in the process of the test, or in one of its
// own that the test can freeze and kill.
package load
