use super::*;

struct Bench {
    net: Net,
    chance: Chance,
    agenda: Agenda,
    now: Instant,
    notices: Vec<Notice>,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let mut net = Net::default();
        net.listen(Address::Proxy, Answer::Accepted);
        Self {
            net,
            chance: Chance::new(seed),
            agenda: Agenda::default(),
            now: Instant::ZERO,
            notices: Vec::new(),
        }
    }

    fn settle(&mut self) {
        while let Some((now, event)) = self.agenda.next() {
            assert!(now >= self.now);
            self.now = now;
            let Event::Net(due) = event else { panic!("{event:?}") };
            let notices = self.net.handle(now, due, &mut self.chance, &mut self.agenda);
            self.notices.extend(notices);
        }
    }

    fn connect(&mut self, to: Address) -> End {
        let end = self.net.connect(self.now, to, &mut self.chance, &mut self.agenda);
        self.settle();
        end
    }

    fn write(&mut self, end: End, bytes: &[u8]) -> Write {
        self.net.write(self.now, end, bytes, &mut self.chance, &mut self.agenda)
    }

    fn read(&mut self, end: End, into: &mut Vec<u8>) -> Read {
        let (chance, agenda) = (&mut self.chance, &mut self.agenda);
        self.net.read(self.now, end, 1 << 20, into, chance, agenda)
    }

    fn close(&mut self, end: End) {
        self.net.close(self.now, end, &mut self.chance, &mut self.agenda);
    }
}

#[test]
fn a_reader_that_stops_makes_the_writers_kernel_refuse_and_nothing_is_lost_or_swapped() {
    for seed in 0..16 {
        let mut bench = Bench::new(seed);
        let near = bench.connect(Address::Proxy);
        let far = near.other();
        assert_eq!(
            bench.notices,
            [Notice::Arrived(far, Address::Proxy), Notice::Answered(near, Answer::Accepted)]
        );
        let sent: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let mut at = 0;
        loop {
            match bench.write(near, &sent[at..]) {
                Write::Took(0) => break,
                Write::Took(len) => at += len,
                Write::Broken => panic!(),
            }
            bench.settle();
        }
        assert!(at <= 128 * 1024, "seed {seed}: {at} bytes were taken with nobody reading");
        let mut got = Vec::new();
        while got.len() < sent.len() {
            match bench.read(far, &mut got) {
                Read::Bytes(_) | Read::Nothing => {}
                Read::End | Read::Broken => panic!(),
            }
            bench.settle();
            let Write::Took(len) = bench.write(near, &sent[at..]) else { panic!() };
            at += len;
        }
        assert!(got == sent, "seed {seed}");
    }
}

#[test]
fn an_orderly_close_arrives_after_the_last_byte() {
    let mut bench = Bench::new(3);
    let near = bench.connect(Address::Proxy);
    assert_eq!(bench.write(near, b"farewell"), Write::Took(8));
    bench.close(near);
    bench.settle();
    let mut got = Vec::new();
    loop {
        match bench.read(near.other(), &mut got) {
            Read::Bytes(_) => {}
            Read::End => break,
            Read::Nothing | Read::Broken => panic!(),
        }
    }
    assert_eq!(got, b"farewell");
}

#[test]
fn writing_to_somebody_who_left_breaks_the_connection() {
    let mut bench = Bench::new(4);
    let near = bench.connect(Address::Proxy);
    bench.close(near.other());
    bench.settle();
    assert_eq!(bench.read(near, &mut Vec::new()), Read::End);
    assert_eq!(bench.write(near, b"anybody?"), Write::Took(8));
    bench.settle();
    assert_eq!(bench.write(near, b"hello?"), Write::Broken);
}

#[test]
fn nobody_listening_refuses() {
    let mut bench = Bench::new(5);
    let near = bench.connect(Address::Node(1));
    assert_eq!(bench.notices, [Notice::Answered(near, Answer::Refused)]);
}

#[test]
fn links_overtake_each_other() {
    let overtaken = (0..32).any(|seed| {
        let mut bench = Bench::new(seed);
        let (one, other) = (bench.connect(Address::Proxy), bench.connect(Address::Proxy));
        bench.notices.clear();
        bench.write(one, b"1");
        bench.write(other, b"2");
        bench.settle();
        bench.notices.first() == Some(&Notice::Readable(other.other()))
    });
    assert!(overtaken);
}
