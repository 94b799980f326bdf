//! Files of records: what is in them, when they are written, and that nothing is written twice or lost.

use std::sync::Arc;

use sekimori_core::{
    change::Change,
    flow_log::{LogDestinationKind, LoggedTraffic},
    rule::Direction,
    time::Timestamp,
};

use super::*;
use crate::testing::{ACCOUNT, flow_log, small_world};

const FORMAT: &str =
    "${interface-id} ${srcaddr} ${dstport} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}";
/// The start of an interval of 600 seconds.
const START: i64 = 1_700_000_400;

fn host() -> HostId {
    HostId::from("rack-1")
}

/// The small world with a flow log of an interface.
fn world(traffic: LoggedTraffic, interval_s: u32) -> (World, EniId) {
    let (_, mut world) = small_world();
    let eni = world.enis().next().unwrap().id.clone();
    let mut log = flow_log(traffic, interval_s, Resource::Eni(eni.clone()));
    log.config.format = FORMAT.to_owned();
    world.apply(&Change::PutFlowLog(Arc::new(log)));
    (world, eni)
}

fn fact(eni: &EniId, passed: bool, packets: u64, at_s: i64) -> (TrafficKey, TrafficSum) {
    let key = TrafficKey {
        eni: eni.clone(),
        direction: Direction::Ingress,
        passed,
        protocol: 6,
        source: "192.0.2.1".parse().unwrap(),
        destination: "10.1.0.4".parse().unwrap(),
        source_port: 40_000,
        destination_port: 443,
    };
    (key, TrafficSum { packets, bytes: packets * 60, tcp_flags: 2, first_s: at_s, last_s: at_s })
}

fn part(start_s: i64, facts: Vec<(TrafficKey, TrafficSum)>) -> TrafficPart {
    TrafficPart { start_s, facts, skipped: Vec::new(), is_last: true }
}

/// The lines of every file, in order, without the interface's name; headers left out.
fn written(dir: &Path, eni: &EniId) -> Vec<String> {
    let Ok(files) = fs::read_dir(dir.join(RECORDS_DIR).join("fl-1")) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let texts = paths.iter().map(|path| fs::read_to_string(path).unwrap());
    texts
        .flat_map(|text| text.lines().skip(1).map(|line| line.replace(eni.as_str(), "eni")).collect::<Vec<_>>())
        .collect()
}

#[test]
fn each_minute_has_a_file_with_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (world, eni) = world(LoggedTraffic::Rejected, 60);
    let records = Records::new(dir.path());
    let seen = vec![fact(&eni, false, 3, START + 7), fact(&eni, true, 9, START + 8)];
    let first = TrafficPart { is_last: false, ..part(START, seen) };
    assert_eq!(records.note(&host(), first, &world), None, "there is more of it");
    assert_eq!(records.note(&host(), part(START, Vec::new()), &world), Some(START));
    assert_eq!(records.note(&host(), part(START + 60, Vec::new()), &world), Some(START + 60));
    let lossy = TrafficPart { skipped: vec![eni.clone()], ..part(START + 120, Vec::new()) };
    assert_eq!(records.note(&host(), lossy, &world), Some(START + 120));
    let expected = [
        format!("eni 192.0.2.1 443 3 180 {0} {0} REJECT OK", START + 7),
        format!("eni - - - - {} {} - NODATA", START + 60, START + 120),
        format!("eni - - - - {} {} - SKIPDATA", START + 120, START + 180),
    ];
    assert_eq!(written(dir.path(), &eni), expected);
    assert_eq!(records.counted(), (3, 0));
    let name = fs::read_dir(dir.path().join("flow-logs/fl-1")).unwrap().map(|file| file.unwrap().file_name()).min();
    let name = name.unwrap().into_string().unwrap();
    assert!(name.starts_with(&format!("{ACCOUNT}_vpcflowlogs_us-east-1_fl-1_20231114T2221Z_")), "{name}");
}

#[test]
fn ten_minutes_become_one_file_whatever_dies_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let (world, eni) = world(LoggedTraffic::All, 600);
    for minute in 0..10 {
        assert_eq!(written(dir.path(), &eni), Vec::<String>::new());
        let start = START + minute * 60;
        // Each minute is told to a server that has just started, and twice, as after a lost answer.
        for _ in 0..2 {
            let records = Records::new(dir.path());
            assert_eq!(records.note(&host(), part(start, vec![fact(&eni, true, 2, start + 5)]), &world), Some(start));
        }
    }
    let expected = [format!("eni 192.0.2.1 443 20 1200 {} {} ACCEPT OK", START + 5, START + 545)];
    assert_eq!(written(dir.path(), &eni), expected);
    assert_eq!(fs::read_dir(dir.path().join("flow-logs/spool")).unwrap().count(), 0);
    // A host that was away at the end of an interval has it written with the next minute.
    let records = Records::new(dir.path());
    records.note(&host(), part(START + 600, vec![fact(&eni, true, 1, START + 601)]), &world);
    records.note(&host(), part(START + 1_800, Vec::new()), &world);
    assert_eq!(written(dir.path(), &eni)[1..], [format!("eni 192.0.2.1 443 1 60 {0} {0} ACCEPT OK", START + 601)]);
}

#[test]
fn what_cannot_be_written_is_counted_and_the_oldest_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let (world, eni) = world(LoggedTraffic::All, 60);
    fs::write(dir.path().join(RECORDS_DIR), "in the way").unwrap();
    let records = Records::new(dir.path());
    assert_eq!(records.note(&host(), part(START, Vec::new()), &world), Some(START), "the host goes on");
    assert_eq!(records.counted(), (0, 1));
    fs::remove_file(dir.path().join(RECORDS_DIR)).unwrap();
    let own = dir.path().join(RECORDS_DIR).join("fl-1");
    fs::create_dir_all(&own).unwrap();
    (0..RECORD_FILES_MAX).for_each(|n| fs::write(own.join(format!("0_{n:05}.log")), "").unwrap());
    records.note(&host(), part(START, vec![fact(&eni, true, 1, START)]), &world);
    assert_eq!(fs::read_dir(&own).unwrap().count(), RECORD_FILES_MAX);
    assert!(!own.join("0_00000.log").exists() && own.join("0_00001.log").exists());
}

#[test]
fn a_flow_log_that_cannot_be_written_keeps_no_other_waiting_and_is_written_when_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, eni) = world(LoggedTraffic::All, 60);
    let other = FlowLog { id: "fl-2".into(), ..FlowLog::clone(world.flow_log(&"fl-1".into()).unwrap()) };
    world.apply(&Change::PutFlowLog(Arc::new(other)));
    let [first, second] = ["fl-1", "fl-2"].map(|id| dir.path().join(RECORDS_DIR).join(id));
    fs::create_dir_all(dir.path().join(RECORDS_DIR)).unwrap();
    fs::write(&first, "in the way").unwrap();
    let records = Records::new(dir.path());
    assert_eq!(records.note(&host(), part(START, vec![fact(&eni, true, 1, START)]), &world), Some(START));
    assert_eq!(fs::read_dir(&second).unwrap().count(), 1);
    assert_eq!(records.counted(), (1, 1));
    fs::remove_file(&first).unwrap();
    assert_eq!(records.note(&host(), part(START + 60, Vec::new()), &world), Some(START + 60));
    let lines = written(dir.path(), &eni);
    assert_eq!(lines[0], format!("eni 192.0.2.1 443 1 60 {START} {START} ACCEPT OK"));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(fs::read_dir(&second).unwrap().count(), 2);
}

/// A change of the flow log, as its owner makes it.
fn with(world: &mut World, change: impl FnOnce(&mut FlowLog)) {
    let mut log = FlowLog::clone(world.flow_log(&"fl-1".into()).unwrap());
    change(&mut log);
    world.apply(&Change::PutFlowLog(Arc::new(log)));
}

#[test]
fn no_minute_is_lost_or_told_twice_when_an_interval_becomes_longer_or_shorter() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, eni) = world(LoggedTraffic::All, 60);
    let records = Records::new(dir.path());
    for minute in 0..30 {
        // One minute each at first, then ten, then five, then one again.
        match minute {
            5 => with(&mut world, |log| log.config.interval_s = 600),
            12 => with(&mut world, |log| log.config.interval_s = 300),
            23 => with(&mut world, |log| log.config.interval_s = 60),
            _ => {}
        }
        let start = START + minute * 60;
        records.note(&host(), part(start, vec![fact(&eni, true, 1, start + 5)]), &world);
    }
    let packets = |line: &String| line.split(' ').nth(3).unwrap().parse::<u64>().unwrap();
    let seen: Vec<u64> = written(dir.path(), &eni).iter().map(packets).collect();
    assert_eq!(seen, [1, 1, 1, 1, 1, 5, 5, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(seen.iter().sum::<u64>(), 30);
}

#[test]
fn nothing_is_written_while_a_flow_log_is_not_active() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, eni) = world(LoggedTraffic::All, 300);
    let records = Records::new(dir.path());
    for minute in 0..10 {
        match minute {
            1 => with(&mut world, |log| log.active_since = None),
            7 => with(&mut world, |log| log.active_since = Some(Timestamp(START + 7 * 60 + 20))),
            _ => {}
        }
        let start = START + minute * 60;
        records.note(&host(), part(start, vec![fact(&eni, true, 1, start + 30)]), &world);
    }
    let expected = [format!("eni 192.0.2.1 443 3 180 {} {} ACCEPT OK", START + 450, START + 570)];
    assert_eq!(written(dir.path(), &eni), expected, "minutes 7 to 9 of the second interval");
}

#[test]
fn a_flow_log_of_ecs_has_objects_in_files_that_are_named_after_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, eni) = world(LoggedTraffic::All, 60);
    with(&mut world, |log| {
        log.config.destination_kind = LogDestinationKind::LogService;
        log.config.destination = "flows".to_owned();
        log.config.log_group = "of_vpc".to_owned();
        log.config.format = "${eni-id} ${srcaddr} ${direction} ${packets} ${log-status} ${action}".to_owned();
    });
    let records = Records::new(dir.path());
    records.note(&host(), part(START, vec![fact(&eni, false, 3, START + 7)]), &world);
    let files: Vec<PathBuf> =
        fs::read_dir(dir.path().join("flow-logs/fl-1")).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("flows_of_vpc_us-east-1_fl-1_20231114T2221Z_"), "{name}");
    let line = format!(
        r#"{{"__topic__":"flow_log","eni-id":"{eni}","srcaddr":"192.0.2.1","direction":"in","packets":"3","log-status":"OK","action":"REJECT"}}"#
    );
    assert_eq!(fs::read_to_string(file).unwrap(), line + "\n");
}
