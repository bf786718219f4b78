// A job of test/threads/pool.test.ts: how many properties its data has.

export default function count(_, data) {
  return Object.keys(data).length;
}
