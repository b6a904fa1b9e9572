//! The rounds of looks at one backend: when to ask, when to give up.
//!
//! A round is one attempt, and after failed ones as many retries as the policy allows. What an
//! attempt consists of is not decided here.

use std::collections::VecDeque;

use crate::limits;
use crate::time::{Duration, Instant};

/// How often to look, and how patiently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Pause between two rounds.
    pub period: Duration,
    /// Pause between two rounds while the backend is lost.
    pub period_lost: Duration,
    /// An attempt that takes longer has failed.
    pub timeout: Duration,
    /// Attempts of a round beyond the first.
    pub retries_max: u32,
    /// Pause between those.
    pub retry_delay: Duration,
}

/// What happened to the attempt in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The backend answered.
    Answered,
    /// It did not, and will not.
    Refused,
    /// It did not, and no further attempt is wanted: it has said before that it goes.
    Gone,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Make an attempt.
    Attempt,
    /// Give up on it.
    Abandon,
    /// Report that every attempt of the round failed.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waiting to make attempt number `attempt` of a round, counting from zero.
    Waiting { attempt: u32, due: Instant },
    /// Attempt number `attempt` is on its way.
    Asking { attempt: u32, deadline: Instant, time: Time },
}

/// Whether an attempt has been given its time anew, which it is once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    First,
    Renewed,
}

/// Whether the last round was in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Answered,
    Lost,
}

/// The rounds of looks at one backend.
#[derive(Debug)]
pub struct Rounds {
    policy: Policy,
    state: State,
    last: Last,
    outputs: VecDeque<Output>,
}

impl Rounds {
    /// Begins with a look at once.
    #[must_use]
    pub fn new(policy: Policy, now: Instant) -> Self {
        let state = State::Waiting { attempt: 0, due: now };
        Self { policy, state, last: Last::Answered, outputs: VecDeque::new() }
    }

    /// Takes another policy; the attempt in progress keeps its deadline.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Takes note of an answer, or of there being none.
    ///
    /// An input that arrives between attempts is late news of an abandoned one, and is ignored.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        let State::Asking { attempt, .. } = self.state else { return };
        match input {
            Input::Answered => {
                self.last = Last::Answered;
                self.state = State::Waiting { attempt: 0, due: now + self.policy.period };
            }
            Input::Refused => self.fail(attempt, now),
            Input::Gone => self.lose(now),
        }
    }

    /// Acts on whatever became due by `now`. Calling it early does nothing.
    ///
    /// Calling it far too late means that this process was stopped meanwhile, or its host was: the
    /// answer may have come and could not be heard, so the attempt has its time again.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Waiting { attempt, due } if due <= now => {
                self.outputs.push_back(Output::Attempt);
                let deadline = now + self.policy.timeout;
                self.state = State::Asking { attempt, deadline, time: Time::First };
            }
            State::Asking { attempt, deadline, time } if deadline + limits::LATENESS_MAX < now => {
                let deadline = now + self.policy.timeout;
                self.state = State::Asking { attempt, deadline, time };
            }
            State::Asking { attempt, deadline, .. } if deadline <= now => {
                self.outputs.push_back(Output::Abandon);
                self.fail(attempt, now);
            }
            State::Waiting { .. } | State::Asking { .. } => {}
        }
    }

    /// Asks anew, over a fresh connection, where the time is over in which an answer was to come over
    /// one that was kept: it may have died without a word, and proves nothing.
    pub fn ask_afresh(&mut self, now: Instant) {
        if let State::Asking { deadline, time: Time::First, .. } = self.state
            && deadline <= now
            && now <= deadline + limits::LATENESS_MAX
        {
            self.outputs.push_back(Output::Abandon);
            self.outputs.push_back(Output::Attempt);
            self.renew(now);
        }
    }

    /// Gives the attempt in progress its whole time for a fresh connection, which has taken the place
    /// of one that was kept: what is left of the time proves nothing of a server that is slow. Once
    /// an attempt, lest connections that end again and again put the loss off.
    pub fn renew(&mut self, now: Instant) {
        if let State::Asking { attempt, time: Time::First, .. } = self.state {
            let deadline = now + self.policy.timeout;
            self.state = State::Asking { attempt, deadline, time: Time::Renewed };
        }
    }

    /// Tells whether an attempt of the round has failed and the next one is waited for.
    #[must_use]
    pub const fn is_between_attempts(&self) -> bool {
        matches!(self.state, State::Waiting { attempt: 1.., .. })
    }

    /// Looks at once, if no round is under way: somebody has lost a connection, or waits for a
    /// change. Retries keep their pauses, for they are what tells a moment from a loss.
    pub fn hurry(&mut self, now: Instant) {
        if let State::Waiting { attempt: 0, .. } = self.state {
            self.state = State::Waiting { attempt: 0, due: now };
        }
    }

    /// Begins the next round by then at the latest.
    pub fn look_by(&mut self, at: Instant) {
        if let State::Waiting { attempt: 0, due } = self.state {
            self.state = State::Waiting { attempt: 0, due: due.min(at) };
        }
    }

    /// Takes the next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle_timeout` next.
    #[must_use]
    pub const fn poll_timeout(&self) -> Instant {
        match self.state {
            State::Waiting { due, .. } => due,
            State::Asking { deadline, .. } => deadline,
        }
    }

    fn fail(&mut self, attempt: u32, now: Instant) {
        if attempt < self.policy.retries_max && self.last == Last::Answered {
            let due = now + self.policy.retry_delay;
            self.state = State::Waiting { attempt: attempt + 1, due };
            return;
        }
        self.lose(now);
    }

    fn lose(&mut self, now: Instant) {
        self.outputs.push_back(Output::Lost);
        self.last = Last::Lost;
        self.state = State::Waiting { attempt: 0, due: now + self.policy.period_lost };
    }
}

#[cfg(test)]
mod tests {
    use super::Output::{Abandon, Attempt, Lost};
    use super::*;

    type Step = (u64, Option<Input>, &'static [Output]);

    fn policy(retries_max: u32) -> Policy {
        Policy {
            period: Duration::from_secs(10),
            period_lost: Duration::from_secs(2),
            timeout: Duration::from_secs(3),
            retries_max,
            retry_delay: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_connection_that_died_without_a_word_is_no_loss() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut rounds = Rounds::new(policy(0), at(0));
        let drain =
            |rounds: &mut Rounds| std::iter::from_fn(|| rounds.poll_output()).collect::<Vec<_>>();
        rounds.handle_timeout(at(0));
        assert_eq!(drain(&mut rounds), [Attempt]);
        rounds.ask_afresh(at(2));
        assert_eq!(drain(&mut rounds), [], "an answer may come yet");
        rounds.ask_afresh(at(3));
        assert_eq!(drain(&mut rounds), [Abandon, Attempt]);
        rounds.handle_timeout(at(6));
        assert_eq!(drain(&mut rounds), [Abandon, Lost]);
    }

    #[test]
    fn an_attempt_has_its_time_anew_once() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut rounds = Rounds::new(policy(0), at(0));
        rounds.renew(at(0));
        assert_eq!(rounds.poll_timeout(), at(0), "there is no attempt yet");
        rounds.handle_timeout(at(0));
        for second in [2, 4] {
            rounds.renew(at(second));
            assert_eq!(rounds.poll_timeout(), at(5), "second {second}");
        }
        rounds.ask_afresh(at(5));
        rounds.handle_timeout(at(5));
        let outputs: Vec<_> = std::iter::from_fn(|| rounds.poll_output()).collect();
        assert_eq!(outputs, [Attempt, Abandon, Lost]);
    }

    #[test]
    fn rounds_are_kept() {
        let answered = Some(Input::Answered);
        let refused = Some(Input::Refused);
        let cases: &[(&str, &[Step])] = &[
            (
                "an answer ends the round",
                &[
                    (0, None, &[Attempt]),
                    (1, answered, &[]),
                    (10, None, &[]),
                    (11, None, &[Attempt]),
                ],
            ),
            (
                "silence counts as refusal",
                &[
                    (0, None, &[Attempt]),
                    (3, None, &[Abandon]),
                    (3, answered, &[]), // too late
                    (4, None, &[Attempt]),
                    (7, None, &[Abandon, Lost]),
                ],
            ),
            (
                "a lost backend is looked at more often, and without retries",
                &[
                    (0, None, &[Attempt]),
                    (0, refused, &[]),
                    (1, None, &[Attempt]),
                    (1, refused, &[Lost]),
                    (2, None, &[]),
                    (3, None, &[Attempt]),
                    (3, refused, &[Lost]),
                    (5, None, &[Attempt]),
                    (5, answered, &[]),
                    (15, None, &[Attempt]),
                    (15, refused, &[]),
                ],
            ),
            (
                "one that has said that it goes is not asked again",
                &[(0, None, &[Attempt]), (1, Some(Input::Gone), &[Lost]), (3, None, &[Attempt])],
            ),
            (
                "whoever was stopped meanwhile listens once more",
                &[
                    (0, None, &[Attempt]),
                    (60, None, &[]),
                    (61, answered, &[]),
                    (71, None, &[Attempt]),
                    (120, None, &[]),
                    (123, None, &[Abandon]),
                ],
            ),
        ];
        for (name, steps) in cases {
            let mut rounds = Rounds::new(policy(1), Instant::ZERO);
            for (second, input, expected) in *steps {
                let now = Instant::from_micros(second * 1_000_000);
                match input {
                    Some(input) => rounds.handle_input(now, *input),
                    None => rounds.handle_timeout(now),
                }
                let outputs: Vec<_> = std::iter::from_fn(|| rounds.poll_output()).collect();
                assert_eq!(outputs, *expected, "{name}, second {second}");
            }
        }
    }

    #[test]
    fn a_retry_is_not_hurried() {
        let mut rounds = Rounds::new(policy(1), Instant::ZERO);
        rounds.handle_timeout(Instant::ZERO);
        rounds.handle_input(Instant::ZERO, Input::Refused);
        rounds.hurry(Instant::from_micros(5));
        assert_eq!(rounds.poll_timeout(), Instant::from_micros(1_000_000));
    }

    #[test]
    fn a_failed_attempt_is_told_from_a_failed_round() {
        let mut rounds = Rounds::new(policy(1), Instant::ZERO);
        for (second, is_between) in [(0, true), (1, false)] {
            let now = Instant::from_micros(second * 1_000_000);
            rounds.handle_timeout(now);
            assert!(!rounds.is_between_attempts(), "second {second}: it is asked");
            rounds.handle_input(now, Input::Refused);
            assert_eq!(rounds.is_between_attempts(), is_between, "second {second}");
        }
    }

    #[test]
    fn a_round_comes_sooner_and_not_later() {
        let mut rounds = Rounds::new(policy(1), Instant::ZERO);
        rounds.handle_timeout(Instant::ZERO);
        rounds.handle_input(Instant::ZERO, Input::Answered);
        for (by, due) in [(20, 10), (3, 3), (5, 3)] {
            rounds.look_by(Instant::from_micros(by * 1_000_000));
            assert_eq!(rounds.poll_timeout(), Instant::from_micros(due * 1_000_000), "by {by}");
        }
    }

    #[test]
    fn a_hurried_look_comes_at_once() {
        let mut rounds = Rounds::new(policy(0), Instant::ZERO);
        rounds.handle_timeout(Instant::ZERO);
        rounds.handle_input(Instant::ZERO, Input::Answered);
        rounds.hurry(Instant::from_micros(5));
        assert_eq!(rounds.poll_timeout(), Instant::from_micros(5));
    }
}
