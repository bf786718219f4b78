// Calls the function of misuse.c that MISUSE names.
export default {
  run(t) {
    t.call(process.env.MISUSE);
    if (process.env.MISUSE !== 'frees_in_irq') return;
    t.driver.hardware.raise();
    t.advance(1);
    t.call('frees_irq');
  },
};
