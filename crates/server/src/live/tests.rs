//! Questions about live flows: who gets which answer, who is named, and what is bounded.

use std::sync::Arc;

use sekimori_core::world::Revision;

use super::*;
use crate::testing::{live_flow_at, small_world};

fn wanted(most: u32) -> FlowsWanted {
    FlowsWanted { any: vec![FlowMatch::default()], most }
}

fn flow(eni: &str, idle_s: u32) -> LiveFlow {
    LiveFlow { idle_s, ..live_flow_at(&eni.into(), [10, 1, 0, 1].into(), "203.0.113.9", 22) }
}

fn answer(request: u64, flows: Vec<LiveFlow>, untold: u64) -> LiveFlows {
    LiveFlows { request, revision: Some(Revision(7)), flows, untold, failure: None }
}

#[tokio::test]
async fn each_question_gets_its_own_answer_cut_to_what_was_asked_for() {
    let hosts = Arc::new(Hosts::default());
    let host = HostId::from("one");
    hosts.connect(&host).unwrap();
    let asking = |most| {
        let (hosts, host) = (Arc::clone(&hosts), host.clone());
        tokio::spawn(async move { ask(&hosts, vec![(host, wanted(most))]).await })
    };
    let mut news = hosts.live.news(&host);
    assert!(!news.has_changed().unwrap());
    let first = asking(1);
    news.changed().await.unwrap();
    let second = asking(9);
    while hosts.live.after(&host, 0).len() < 2 {
        news.changed().await.unwrap();
    }
    assert_eq!(hosts.live.after(&host, 1), [(2, wanted(9))]);
    assert!(hosts.live.news(&host).has_changed().unwrap(), "a connection that begins now is told of both");
    hosts.live.note(&host, answer(2, vec![flow("b", 8), flow("a", 2)], 5));
    hosts.live.note(&host, answer(1, vec![flow("c", 4), flow("d", 5)], 0));
    hosts.live.note(&host, answer(9, vec![flow("x", 1)], 0));
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    let names = |heard: &Heard| heard.flows.iter().map(|(_, flow)| flow.eni.to_string()).collect::<Vec<_>>();
    assert_eq!((names(&first), first.untold()), (vec!["c".to_owned()], 1));
    assert_eq!((names(&second), second.untold()), (vec!["a".to_owned(), "b".to_owned()], 5));
    assert!(second.has_told(&host) && second.missing().is_empty());
    assert_eq!(hosts.live.after(&host, 0), [], "nothing is kept");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_named_and_waited_for_no_longer_than_was_said() {
    let hosts = Hosts::default();
    let [mute, away, strange] = ["mute", "away", "strange"].map(HostId::from);
    hosts.connect(&mute).unwrap();
    let session = hosts.connect(&away).unwrap();
    hosts.disconnect(&away, session);
    let began = Instant::now();
    let questions = [&mute, &away, &strange].map(|host| (host.clone(), wanted(1))).to_vec();
    let heard = ask(&hosts, questions).await;
    assert_eq!(began.elapsed().as_secs(), LIVE_FLOWS_WAIT_S);
    assert_eq!(
        heard.missing(),
        [
            "the live flows of host `mute` are not known: it did not answer within 5 s",
            "the live flows of host `away` are not known: it is not connected",
            "the live flows of host `strange` are not known: it has not connected since the server started",
        ]
    );
    assert_eq!(hosts.live.after(&mute, 0), [], "who has stopped waiting has no question open");
}

#[tokio::test(start_paused = true)]
async fn a_host_has_a_bounded_number_of_questions() {
    let hosts = Hosts::default();
    let host = HostId::from("one");
    hosts.connect(&host).unwrap();
    let open: Vec<_> = std::iter::from_fn(|| hosts.live.ask(&host, wanted(1))).collect();
    assert_eq!(open.len(), LIVE_QUESTIONS_PER_HOST_MAX);
    let heard = ask(&hosts, vec![(host.clone(), wanted(1))]).await;
    assert!(heard.missing()[0].contains("ask again in a moment"), "{:?}", heard.missing());
    drop(open);
    assert!(hosts.live.ask(&host, wanted(1)).is_some());
}

#[test]
fn interfaces_are_asked_for_where_they_are() {
    let (_, world) = small_world();
    let hosts = Hosts::default();
    let enis: BTreeSet<EniId> = world.enis().map(|eni| eni.id.clone()).collect();
    let of = |matches: &[FlowMatch]| of_interfaces(&hosts, &world, &enis, matches, 9);
    let asked = of(&[FlowMatch { port: Some(22), ..FlowMatch::default() }]);
    let [(host, wanted)] = &asked[..] else { panic!("one host: {asked:?}") };
    assert_eq!((host.as_str(), wanted.any.len(), wanted.most), ("rack-1", enis.len(), 9));
    assert!(wanted.any.iter().all(|one| one.port == Some(22) && one.eni.is_some()));
    // More than may be named: everything, whoever has it.
    let many = vec![FlowMatch { port: Some(22), ..FlowMatch::default() }; LIVE_FLOW_MATCHES_MAX];
    assert!(of(&many)[0].1.any.iter().all(|one| one.eni.is_none()));
    assert_eq!(of_all(&hosts, &world, &FlowMatch::default(), 3).len(), 1);
    let files = Hosts::of_files();
    assert_eq!(of_all(&files, &world, &FlowMatch::default(), 3), [], "files have no kernels");
}
