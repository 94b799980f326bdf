//! The control plane through EC2 beside moto's: the same signed requests of the same clients, in blocks that take turns.
//!
//! Sekimori answers a change when it is durable, and enforces it; moto keeps it in memory. Clients and servers share the
//! machine. A ratio is of two blocks that follow each other, so what slows the machine down slows both.

use std::{
    ops::Range,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::Context as _;
use serde::Serialize;

use crate::{
    ec2::{Client, first},
    moto::Moto,
    server::Server,
    stats::Stats,
    stop::Stop,
};

/// Clients at the same time: one, and as many as make a server busy.
pub const CLIENTS: [usize; 2] = [1, 64];
/// Of the calls of a block, how many the client that is alone makes: it waits for every one.
const ALONE_PART: usize = 4;
/// Blocks of each server.
const BLOCKS: usize = 10;
/// Blocks of answers about all groups: moto takes some ten seconds for each at 10,000 groups.
const BLOCKS_OF_ALL: usize = 3;
/// Answers about one group, in each block.
const BY_ID_PER_BLOCK: usize = 50;
/// How often a call is made that a server fails at: SDKs do it so.
const ATTEMPTS: usize = 5;
/// Groups that a client asks for at a time.
const PAGE: usize = 1_000;

/// How one thing went at both servers.
#[derive(Clone, Debug, Serialize)]
pub struct Beside {
    /// What.
    pub what: &'static str,
    /// Of how many clients at the same time.
    pub clients: usize,
    /// Calls a second, or milliseconds.
    pub is_rate: bool,
    /// Ours.
    pub sekimori: Stats,
    /// Theirs.
    pub moto: Stats,
    /// How many times as fast ours is, block by block.
    pub times_as_fast: Stats,
}

/// Everything beside moto.
#[derive(Clone, Debug, Serialize)]
pub struct BesideCost {
    /// Groups at the end, each with one rule besides those it is made with.
    pub groups: usize,
    /// What was compared.
    pub rows: Vec<Beside>,
    /// Calls that had to be made again because the server had failed: ours, and moto's.
    pub failures: (usize, usize),
    /// Memory of our server's process and of the others, in MiB.
    pub sekimori_mib: (f64, f64),
    /// Memory of moto's, in MiB.
    pub moto_mib: f64,
}

/// Builds the same estate in both, a block at a time, and asks for it.
///
/// # Errors
/// When a server does not start, or refuses.
pub fn measure(dir: &Path, moto: &Path, groups: usize, stop: &Stop) -> anyhow::Result<BesideCost> {
    let (ours, theirs) = (Server::start(dir, stop)?, Moto::start(moto, stop)?);
    let pair = Pair { sides: [Side::new(ours.ec2_client()?)?, Side::new(theirs.client())?], stop };
    let mut rows = pair.changes("CreateSecurityGroup", groups, Side::create)?;
    rows.extend(pair.changes("AuthorizeSecurityGroupIngress", groups, Side::authorize)?);
    rows.push(pair.answers("DescribeSecurityGroups by id", (BLOCKS, BY_ID_PER_BLOCK), Side::describe)?);
    rows.push(pair.answers("DescribeSecurityGroups of all groups", (BLOCKS_OF_ALL, 1), Side::describe_all)?);
    rows.push(pair.answers(
        "DescribeSecurityGroups of all groups, 1,000 at a time",
        (BLOCKS_OF_ALL, 1),
        Side::describe_pages,
    )?);
    let (sekimori_mib, moto_mib) = (ours.resident_mib()?, theirs.resident_mib()?);
    let [ours, theirs] = &pair.sides;
    let failures = (ours.failures.load(Ordering::Relaxed), theirs.failures.load(Ordering::Relaxed));
    Ok(BesideCost { groups, rows, failures, sekimori_mib, moto_mib })
}

/// A server with its clients and what they have made.
struct Side {
    clients: Vec<Client>,
    vpc: String,
    groups: Mutex<Vec<String>>,
    failures: AtomicUsize,
}

impl Side {
    fn new(client: Client) -> anyhow::Result<Self> {
        let vpc = client.make("CreateVpc", &[("CidrBlock", "10.0.0.0/16")], "vpcId")?;
        let most = CLIENTS.into_iter().max().unwrap_or(1);
        let clients = (0..most).map(|_| client.sibling()).collect();
        Ok(Self { clients, vpc, groups: Mutex::default(), failures: AtomicUsize::new(0) })
    }

    fn create(&self, client: &Client, number: usize) -> anyhow::Result<()> {
        // Another name for another attempt: the one before may have done half of it.
        let name = format!("bench-{number}-{}", self.failures.load(Ordering::Relaxed));
        let group = [("GroupName", name.as_str()), ("GroupDescription", "bench"), ("VpcId", &self.vpc)];
        let group = client.make("CreateSecurityGroup", &group, "groupId")?;
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).push(group);
        Ok(())
    }

    fn group(&self, number: usize) -> anyhow::Result<String> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(number % groups.len().max(1)).cloned().context("there are no groups")
    }

    fn authorize(&self, client: &Client, number: usize) -> anyhow::Result<()> {
        let group = self.group(number)?;
        let rule = [
            ("GroupId", group.as_str()),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "443"),
            ("IpPermissions.1.ToPort", "443"),
            ("IpPermissions.1.IpRanges.1.CidrIp", "10.1.0.0/16"),
        ];
        client.call("AuthorizeSecurityGroupIngress", &rule).map(drop)
    }

    fn describe(&self, client: &Client, number: usize) -> anyhow::Result<()> {
        // Far apart, so that no answer is warm from the one before.
        let group = self.group(number * 7_919)?;
        let answer = client.call("DescribeSecurityGroups", &[("GroupId.1", &group)])?;
        anyhow::ensure!(shown(&answer) == 1 && answer.contains(&group), "`{group}` is not described: {answer}");
        Ok(())
    }

    fn describe_all(&self, client: &Client, _: usize) -> anyhow::Result<()> {
        self.has_shown_all(shown(&client.call("DescribeSecurityGroups", &[])?))
    }

    /// As clients do it; moto answers with everything, whatever is asked for.
    fn describe_pages(&self, client: &Client, _: usize) -> anyhow::Result<()> {
        let page = PAGE.to_string();
        let (mut seen, mut token) = (0, None::<String>);
        loop {
            let next = token.as_deref().map(|token| ("NextToken", token));
            let parameters: Vec<_> = [("MaxResults", page.as_str())].into_iter().chain(next).collect();
            let answer = client.call("DescribeSecurityGroups", &parameters)?;
            seen += shown(&answer);
            token = first(&answer, "nextToken").map(str::to_owned);
            if token.is_none() {
                return self.has_shown_all(seen);
            }
        }
    }

    /// Groups that the VPCs were made with are there besides, and perhaps what a failed call has left.
    fn has_shown_all(&self, seen: usize) -> anyhow::Result<()> {
        let made = self.groups.lock().unwrap_or_else(PoisonError::into_inner).len();
        let more = 2 + self.failures.load(Ordering::Relaxed);
        anyhow::ensure!(seen > made && seen <= made + more, "{seen} of {made} groups were shown");
        Ok(())
    }

    /// Makes a call, and makes it again if the server fails.
    fn persist(&self, client: &Client, number: usize, call: Call) -> anyhow::Result<()> {
        let mut left = ATTEMPTS - 1;
        while left > 0 && call(self, client, number).is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
            left -= 1;
        }
        if left > 0 { Ok(()) } else { call(self, client, number) }
    }

    /// Calls a second of one block, whose calls some clients share.
    fn rate(&self, clients: usize, numbers: Range<usize>, stop: &Stop, call: Call) -> anyhow::Result<f64> {
        let (next, count) = (AtomicUsize::new(numbers.start), numbers.len());
        let work = |client: &Client| -> anyhow::Result<()> {
            loop {
                stop.check()?;
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    return Ok(());
                }
                self.persist(client, number, call)?;
            }
        };
        let started = Instant::now();
        thread::scope(|scope| {
            let begun: Vec<_> =
                self.clients.iter().take(clients).map(|client| scope.spawn(move || work(client))).collect();
            begun
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a client has panicked")))
        })?;
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }

    /// Milliseconds of each call of one block, of a client that is alone.
    fn times(&self, numbers: Range<usize>, stop: &Stop, call: Call) -> anyhow::Result<Vec<f64>> {
        let client = self.clients.first().context("there is no client")?;
        let time = |number| {
            stop.check()?;
            let started = Instant::now();
            self.persist(client, number, call)?;
            Ok(started.elapsed().as_secs_f64() * 1e3)
        };
        numbers.map(time).collect()
    }
}

/// One call of a client of a server; which one of how many is its number.
type Call = fn(&Side, &Client, usize) -> anyhow::Result<()>;

/// How many groups an answer shows.
fn shown(answer: &str) -> usize {
    answer.matches("</groupDescription>").count()
}

/// Both servers: ours, then theirs.
struct Pair<'a> {
    sides: [Side; 2],
    stop: &'a Stop,
}

impl Pair<'_> {
    /// Each number once, in blocks of one client and blocks of many.
    fn changes(&self, what: &'static str, count: usize, call: Call) -> anyhow::Result<Vec<Beside>> {
        let mut found = CLIENTS.map(|clients| (clients, Vec::new()));
        for block in 0..BLOCKS {
            let (from, until) = (count * block / BLOCKS, count * (block + 1) / BLOCKS);
            let middle = from + (until - from) / ALONE_PART;
            for ((clients, blocks), numbers) in found.iter_mut().zip([from..middle, middle..until]) {
                blocks.push(self.in_turn(block, |side| side.rate(*clients, numbers.clone(), self.stop, call))?);
            }
        }
        found.into_iter().map(|(clients, blocks)| beside(what, clients, true, blocks)).collect()
    }

    /// So many blocks, and so many answers in each; what counts of a block is its median.
    fn answers(&self, what: &'static str, (blocks, per_block): (usize, usize), call: Call) -> anyhow::Result<Beside> {
        let blocks = (0..blocks).map(|block| {
            let numbers = block * per_block..(block + 1) * per_block;
            self.in_turn(block, |side| {
                let times = Stats::of(side.times(numbers.clone(), self.stop, call)?);
                Ok(times.context("no answers")?.median)
            })
        });
        beside(what, 1, false, blocks.collect::<anyhow::Result<_>>()?)
    }

    /// A block of both; who begins changes.
    fn in_turn(&self, block: usize, measure: impl Fn(&Side) -> anyhow::Result<f64>) -> anyhow::Result<(f64, f64)> {
        let [ours, theirs] = &self.sides;
        if block.is_multiple_of(2) {
            let first = measure(ours)?;
            return Ok((first, measure(theirs)?));
        }
        let first = measure(theirs)?;
        Ok((measure(ours)?, first))
    }
}

fn beside(what: &'static str, clients: usize, is_rate: bool, blocks: Vec<(f64, f64)>) -> anyhow::Result<Beside> {
    let ratio = |(ours, theirs): &(f64, f64)| if is_rate { ours / theirs } else { theirs / ours };
    let times_as_fast = Stats::of(blocks.iter().map(ratio)).context("no blocks")?;
    let sekimori = Stats::of(blocks.iter().map(|block| block.0)).context("no blocks")?;
    let moto = Stats::of(blocks.iter().map(|block| block.1)).context("no blocks")?;
    Ok(Beside { what, clients, is_rate, sekimori, moto, times_as_fast })
}
