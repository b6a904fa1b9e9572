//! What Rust programs do with tokio-postgres.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Error, NoTls};

/// How long a test may take on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(120);

fn block_on(future: impl Future<Output = Result<(), Error>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let ended = runtime.block_on(async { timeout(LIMIT, future).await });
    ended.expect("it ends in time").expect("nothing fails");
}

async fn connect(port: u16) -> Result<Client, Error> {
    let info = format!("host=127.0.0.1 port={port} user=postgres password=postgres");
    let (client, connection) = tokio_postgres::connect(&info, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

pub(crate) fn queries(port: u16) {
    block_on(async {
        let mut client = connect(port).await?;
        client.batch_execute("create table by_tokio (n int primary key, t text)").await?;
        let insert = client.prepare("insert into by_tokio values ($1, $2)").await?;
        for n in 0..100_i32 {
            assert_eq!(client.execute(&insert, &[&n, &format!("row {n}")]).await?, 1);
        }
        let transaction = client.transaction().await?;
        let select = transaction.prepare("select t from by_tokio where n = $1").await?;
        let row = transaction.query_one(&select, &[&7_i32]).await?;
        assert_eq!(row.get::<_, String>(0), "row 7");
        let portal = transaction.bind("select n from by_tokio order by n", &[]).await?;
        assert_eq!(transaction.query_portal(&portal, 30).await?.len(), 30);
        assert_eq!(transaction.query_portal(&portal, 0).await?.len(), 70);
        transaction.execute("delete from by_tokio", &[]).await?;
        transaction.rollback().await?;

        // Requests that are sent together are a pipeline.
        let numbers = client.prepare("select $1::int4 * 2").await?;
        let answers: Vec<i32> = stream::iter(0..200_i32)
            .map(|n| {
                let (client, numbers) = (&client, &numbers);
                async move { client.query_one(numbers, &[&n]).await.map(|row| row.get::<_, i32>(0)) }
            })
            .buffered(50)
            .try_collect()
            .await?;
        assert_eq!(answers, (0..200).map(|n| n * 2).collect::<Vec<_>>());

        let error = client.execute(&insert, &[&7_i32, &"again"]).await.expect_err("a duplicate");
        assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));
        let transaction = client.transaction().await?;
        let count = transaction.query_one("select count(*) from by_tokio", &[]).await?;
        assert_eq!(count.get::<_, i64>(0), 100);
        transaction.commit().await
    });
}

pub(crate) fn copies(port: u16) {
    block_on(async {
        let client = connect(port).await?;
        client.batch_execute("create table copied_by_tokio (n int)").await?;
        let sink = client.copy_in("copy copied_by_tokio from stdin").await?;
        let mut sink = pin!(sink);
        for n in 0..1000 {
            sink.send(bytes::Bytes::from(format!("{n}\n"))).await?;
        }
        assert_eq!(sink.finish().await?, 1000);
        let out = client.copy_out("copy (select generate_series(1, 100000)) to stdout").await?;
        let len = out.try_fold(0, |len, bytes| async move { Ok(len + bytes.len()) }).await?;
        assert_eq!(len, (1..=100_000).map(|n| format!("{n}\n").len()).sum::<usize>());

        // A sink that is dropped gives up.
        let sink = client.copy_in("copy copied_by_tokio from stdin").await?;
        drop::<tokio_postgres::CopyInSink<bytes::Bytes>>(sink);
        client.batch_execute("begin").await?;
        let count = client.query_one("select count(*) from copied_by_tokio", &[]).await?;
        assert_eq!(count.get::<_, i64>(0), 1000);
        client.batch_execute("commit").await
    });
}

pub(crate) fn cancels_and_listens(port: u16) {
    block_on(async {
        let client = connect(port).await?;
        let token = client.cancel_token();
        let canceller = async {
            // A cancel that comes before the query runs does nothing, so it is repeated.
            let mut pause = tokio::time::interval(Duration::from_millis(200));
            loop {
                pause.tick().await;
                token.cancel_query(NoTls).await.expect("a cancel request is taken");
            }
        };
        tokio::select! {
            () = canceller => {}
            slept = client.batch_execute("select pg_sleep(100)") => {
                let error = slept.expect_err("it is cancelled");
                assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
            }
        }
        client.batch_execute("select 1").await?;

        let info = format!("host=127.0.0.1 port={port} user=postgres password=postgres");
        let (listener, mut connection) = tokio_postgres::connect(&info, NoTls).await?;
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) =
                stream::poll_fn(|cx| connection.poll_message(cx)).next().await
            {
                if let AsyncMessage::Notification(news) = message {
                    drop(tell.send(news.payload().to_owned()));
                }
            }
        });
        listener.batch_execute("listen tokio_news").await?;
        client.batch_execute("notify tokio_news, 'hello'").await?;
        assert_eq!(told.recv().await.as_deref(), Some("hello"));
        Ok(())
    });
}
